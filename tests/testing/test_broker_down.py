"""A broker that fails on demand, as a Redis that cannot be reached; and tests that run without Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette

from asgi_realtime import BrokerUnavailable, ConfigurationError, RealtimeMiddleware, Settings
from asgi_realtime.testing import RealtimeTestClient
from tests.support.shop_app import SECRET, current_user, make_app


async def test_whatever_needs_the_broker_raises_and_works_again_after_the_block() -> None:
    app = make_app(Settings(jwt_secret=SECRET))
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ada")) as ada:
        send, before = client.broadcaster, await client.broadcaster.position("orders")
        with client.broker_down():
            during = send.ready
            for call in (
                lambda: send.broadcast_to_room("orders", "A"),
                lambda: send.add_user_to_room("ada", "tea"),
                lambda: send.position("orders"),
                lambda: send.connections("ada"),
            ):
                with pytest.raises(BrokerUnavailable, match="Redis is not available: the test has interrupted"):
                    await call()
            refused = await ada.call("note", "hello")
            assert refused["code"] == "INTERNAL"
            with pytest.raises(BrokerUnavailable), client.broker_down():
                pass
        assert (during, send.ready) == (False, True)
        assert await send.position("orders") == before
        await send.broadcast_to_room("orders", "B")
        assert [event.name for event in await ada.take_all()] == ["B"]


async def test_a_route_answers_as_the_host_has_written_it() -> None:
    app = make_app(Settings(jwt_secret=SECRET))
    app.dependency_overrides[current_user] = lambda: "ada"
    async with RealtimeTestClient(app) as client:
        with client.broker_down():
            assert (await client.http.post("/orders", params={"item": "tea"})).status_code == 503
        assert (await client.http.post("/orders", params={"item": "tea"})).json() is True


async def test_broadcasts_are_delivered_here_with_local() -> None:
    app = make_app(Settings(jwt_secret=SECRET, on_broker_down="local"))
    async with RealtimeTestClient(app) as client:
        send, recorded = client.broadcaster.of("/ticker"), client.record()
        async with client.connect("/ticker", token=client.token("ada")) as ada:
            session = (await ada.expect("auth_success")).data["recovery"]
            with client.broker_down():
                for key in ("k1", "k1", "k2"):
                    receipt = await send.broadcast_to_all("price", 1, key=key)
                    assert (receipt.position, receipt.delivered_locally, receipt.replicated) == (None, 1, False)
                await send.broadcast_to_all("tick", volatile=True)
                with pytest.raises(BrokerUnavailable):
                    await send.disconnect_user("ada")
            assert [event.name for event in await ada.take_all()] == ["price", "price", "tick"]
            assert [each.event for each in recorded.all] == ["price", "price", "tick"]
            await ada.drop()
        assert (await send.broadcast_to_all("price", 2)).position is not None
        query = {"recovery": json.dumps({"id": session["id"], "position": session["position"]})}
        async with client.connect("/ticker", token=client.token("ada"), query=query) as ada:
            # As after an outage of Redis: it got events without a position, so nothing says what it lacks.
            assert (await ada.expect("auth_success")).data["recovery"]["recovered"] is False


async def test_an_app_that_stops_within_the_block_can_start_again() -> None:
    app = make_app(Settings(jwt_secret=SECRET))
    client = RealtimeTestClient(app)
    await client.__aenter__()
    with client.broker_down():
        await client.__aexit__(None, None, None)
    async with RealtimeTestClient(app) as client:
        await client.broadcaster.broadcast_to_all("A")


async def test_without_redis_an_app_that_would_use_it_is_refused_before_it_starts() -> None:
    started: list[object] = []
    settings = Settings(jwt_secret=SECRET, redis_url="redis://127.0.0.1:1/0")

    async def host(scope: object, receive: object, send: object) -> None:
        started.append(scope)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        started.append(app)
        yield

    # Its layers are made when it starts.
    starlette = Starlette(lifespan=lifespan)
    starlette.add_middleware(RealtimeMiddleware, gateways=[], settings=settings)
    for app in (starlette, RealtimeMiddleware(host, gateways=[], settings=settings)):
        with pytest.raises(ConfigurationError, match=r"this app uses Redis.*Settings\(redis_url=None\)"):
            async with RealtimeTestClient(app, without_redis=True):
                pass
    assert not started
    async with RealtimeTestClient(make_app(Settings(jwt_secret=SECRET)), without_redis=True) as client:
        assert (await client.broadcaster.broadcast_to_all("A")).position is not None
