"""Generated clients of a host's own gateways, with payloads of every kind, by real traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, create_token
from asgi_realtime.client import Connected, Missed, NotConnected, Refused
from tests.support.clients import counters, workshop
from tests.support.servers import Serve
from tests.support.workshop import CountersGateway, WorkshopGateway

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
TOKEN = create_token("ann", SETTINGS)


@asynccontextmanager
async def a_workshop(serve: Serve, *, max_events: int = 1000) -> AsyncIterator[workshop.WorkshopClient]:
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[WorkshopGateway("/")], settings=SETTINGS))
    async with workshop.WorkshopClient(server.url, auth=TOKEN, max_events=max_events) as client:
        yield client


@asynccontextmanager
async def counting(serve: Serve) -> AsyncIterator[counters.CountersClient]:
    gateway = CountersGateway("/counters")
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS))
    async with counters.CountersClient(f"{server.url}/counters", auth=TOKEN) as client:
        yield client


async def test_methods_send_payloads_and_return_acknowledgements(serve: Serve) -> None:
    async with a_workshop(serve) as client:
        assert await client.draw({"boardId": "b", "colour": "red", "width": 2}) == {"strokes": 1}
        await client.tool_choose({"name": "pen", "sizes": [1]})
        assert await client.shape({"kind": "square", "side": 1.5}) == "Square"
        tree: workshop.Tree = {"children": [], "kind": "elm"}
        assert await client.grow([tree]) == {"children": [tree], "kind": "oak"}
        assert await client.upload(b"\x00\x01") == b"\x01\x00"
        assert await client.move(7, "here") == 7
        assert await client.move(0, "there") is None
        await client.odd({"class": 3, "odd-name": {"a": 1}})
        assert await client.order({"id": "1", "item": "tea"}) == {"receipt": "tea"}
        await client.close_()
        token = create_token("ann", SETTINGS)
        assert await client.auth_refresh({"token": token}) == {"success": True}
        await client.expect(workshop.ClearedEvent)
        assert await client.expect(workshop.ThingEvent) == {"any": [1, None]}
        assert await client.expect(workshop.OddEvent) == {"class": 3, "odd-name": {"a": 1}}
        assert await client.expect(workshop.MovedEvent, where=lambda moved: moved[1] == "there") == (0, "there")
        assert await client.expect(workshop.MovedEvent) == (7, "here")
        assert await client.expect(workshop.PictureEvent) == b"\x00\x01"
        assert await client.expect(workshop.TreesEvent) == [tree]
        assert await client.expect(workshop.ShapeEvent) == {"kind": "square", "side": 1.5}
        assert await client.expect(workshop.ToolChangedEvent) == "pen"
        assert await client.expect(workshop.StrokeEvent) == {"boardId": "b", "colour": "red", "width": 2.0}


async def test_events_come_in_order_by_iteration(serve: Serve) -> None:
    async with a_workshop(serve) as client:
        await client.flood(3)
        await client.close_()
        events = []
        async for event in client:
            events.append(event)
            if isinstance(event, workshop.ClearedEvent):
                break
    assert events == [Connected(False), *map(workshop.ThingEvent, range(3)), workshop.ClearedEvent(None)]


async def test_a_refused_event_raises_its_code(serve: Serve) -> None:
    async with a_workshop(serve) as client:
        with pytest.raises(Refused, match="NOT_YOURS: not yours") as caught:
            await client.forbidden()
        assert (caught.value.code, caught.value.message) == ("NOT_YOURS", "not yours")
        hammer: Any = {"name": "hammer"}
        await client.tool_choose(hammer)  # it has no acknowledgement, so the refusal is an event
        assert (await client.expect(workshop.ErrorEvent))["code"] == "INVALID_MESSAGE"


async def test_what_a_newer_server_adds_is_ignored(serve: Serve) -> None:
    async with a_workshop(serve) as client:
        await client.newer()
        assert await client.expect(Connected) is False
        assert await client.expect(workshop.OddEvent) == {"class": 5}
        await client.close_()
        assert [await anext(client)] == [workshop.ClearedEvent(None)]
    async with counting(serve) as desk:
        await desk.newer()
        await desk.expect(counters.ClearedEvent)
        assert [type(await anext(desk)) for _ in range(2)] == [Connected, counters.AuthSuccessEvent]


async def test_events_that_are_not_taken_are_bounded(serve: Serve) -> None:
    async with a_workshop(serve, max_events=5) as client:
        await client.flood(20)
        assert await client.order({"id": "2", "item": "tea"}) == {"receipt": "tea"}  # all have come before this
        # What is dropped of the connection itself is told all the same.
        assert [await anext(client) for _ in range(3)] == [Missed(15), Connected(False), workshop.ThingEvent(15)]
        with pytest.raises(TimeoutError, match="no cleared that fits within 0 s; events that were not taken: thing"):
            await client.expect(workshop.ClearedEvent, timeout=0)


async def test_flat_frames_are_written_and_read(serve: Serve) -> None:
    async with counting(serve) as client:
        assert (await client.expect(counters.AuthSuccessEvent))["userId"] == "ann"
        await client.count({"strokes": 4})
        assert await client.expect(counters.CountedEvent) == {"strokes": 5}
        await client.shape({"kind": "circle", "radius": 2})
        assert await client.expect(counters.ShapeEvent) == {"kind": "circle", "radius": 2.0}
        await client.ping()
        await client.expect(counters.PongEvent)
        await client.join({"id": "1", "item": "tea"})
        await client.clear()
        await client.expect(counters.ClearedEvent)
        await client.auth({"token": create_token("ann", SETTINGS)})
        assert await client.expect(counters.AuthSuccessEvent) == {"userId": "ann"}
        await client.forbidden()
        assert await client.expect(counters.ErrorEvent) == {"code": "NOT_YOURS", "message": "not yours"}


async def test_a_closed_client_sends_nothing_and_gives_what_has_come(serve: Serve) -> None:
    async with counting(serve) as client:
        await client.count({"strokes": 1})
        await client.expect(counters.CountedEvent)
    assert not client.connected
    assert [type(event) async for event in client] == [Connected, counters.AuthSuccessEvent]
    with pytest.raises(NotConnected):
        await client.ping()
    with pytest.raises(RuntimeError, match="connects once"):
        await client.connect()
