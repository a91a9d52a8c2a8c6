"""Clients of a `SocketIOServer` that are not let in yet: they wait for Redis, or for their connect handler."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from asgi_realtime import RealtimeMiddleware, Settings, socketio
from asgi_realtime.limits import Limits
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import RawClient, raw_client
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[RedisProxy]:
    async with redis_proxy(redis_process.socket) as proxy:
        yield proxy


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError("the tests use no other route")


async def served(
    sio: SocketIOServer, serve: Serve, proxy: RedisProxy, policy: Literal["raise", "local"] = "raise"
) -> LiveServer:
    settings = Settings(
        redis_url=proxy.url,
        redis_prefix=f"test-{secrets.token_hex(4)}",
        on_broker_down=policy,
        publish_timeout=5.0 if policy == "raise" else 0.4,
    )
    return await serve(RealtimeMiddleware(nothing, gateways=[sio], settings=settings))


async def connects(sio: SocketIOServer, client: RawClient, clients: int) -> str:
    """Send a CONNECT, and wait until the server has so many clients. Returns the `sid` of the new one."""
    before = set(sids(sio))
    await client.send("0")
    await until(lambda: len(sids(sio)) == clients)
    [sid] = set(sids(sio)) - before
    return sid


def sids(sio: SocketIOServer) -> list[str]:
    return [sid for sid, _ in sio.manager.get_participants("/", None)]


class SlowConnect:
    """A server whose connect handler waits for `allow`."""

    def __init__(self) -> None:
        self.sio = SocketIOServer()
        self.sids: asyncio.Queue[str] = asyncio.Queue()
        self.allow = asyncio.Event()
        self.sio.on("connect", self._connect)

    async def _connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.sids.put_nowait(sid)
        await self.allow.wait()


async def test_a_client_that_waits_for_its_subscriptions_gets_events_with_a_callback_once_it_is_let_in(
    serve: Serve, proxy: RedisProxy
) -> None:
    sio = SocketIOServer()
    answers: asyncio.Queue[Json] = asyncio.Queue()
    server = await served(sio, serve, proxy)
    async with raw_client(server, "websocket") as new, raw_client(server, "websocket") as last:
        proxy.hold()
        await connects(sio, new, 1)
        await connects(sio, last, 2)
        await sio.emit("ask", callback=answers.put, ignore_queue=True)
        proxy.release()
        for client in (new, last):
            assert (await client.next()).startswith("40")
            assert await client.next() == '420["ask"]'
            await client.send("30[7]")
            assert await answers.get() == 7


async def test_an_administrator_may_log_in_while_a_client_waits_for_its_subscriptions(
    serve: Serve, proxy: RedisProxy
) -> None:
    sio = SocketIOServer()
    asked, allowed = asyncio.Event(), asyncio.Event()

    async def check(auth: Json) -> bool:
        asked.set()
        await allowed.wait()
        return True

    sio.instrument(auth=check)
    server = await served(sio, serve, proxy)
    async with raw_client(server, "websocket") as administrator, raw_client(server, "websocket") as new:
        await administrator.send("0/admin,")
        await asked.wait()
        proxy.hold()
        sid = await connects(sio, new, 1)
        held = len(proxy.held)
        allowed.set()
        await until(lambda: len(proxy.held) > held)
        proxy.release()
        assert (await administrator.next()).startswith("40/admin,")
        assert (await new.next()).startswith("40")
        while '["socket_connected",' not in (shown := await administrator.next()) or sid not in shown:
            continue


async def test_an_administrator_is_not_shown_a_client_that_leaves_before_it_is_let_in(
    serve: Serve, proxy: RedisProxy
) -> None:
    slow = SlowConnect()
    slow.sio.instrument(auth=False)
    server = await served(slow.sio, serve, proxy)
    async with raw_client(server, "websocket") as administrator, raw_client(server, "polling") as other:
        await administrator.connect(namespace="/admin,")
        async with raw_client(server, "websocket") as leaving:
            await leaving.send("0")
            sid = await slow.sids.get()
            proxy.hold()
            slow.allow.set()
            await until(lambda: proxy.held)  # presence
        await until(lambda: not sids(slow.sio))
        proxy.release()
        await other.connect()
        [present] = sids(slow.sio)
        async with raw_client(server, "websocket") as late:
            await late.connect(namespace="/admin,")
            for shown in (administrator, late):
                while present not in (message := await shown.next()):
                    assert sid not in message


async def test_a_client_that_connects_while_redis_is_away_gets_calls_at_once(serve: Serve, proxy: RedisProxy) -> None:
    sio = SocketIOServer()
    server = await served(sio, serve, proxy, "local")
    proxy.refusing = True
    proxy.cut()
    async with raw_client(server, "websocket") as client:
        sid = await connects(sio, client, 1)
        assert (await client.next()).startswith("40")
        call = asyncio.create_task(sio.call("ask", to=sid))
        assert await client.next() == '420["ask"]'
        await client.send("30[7]")
        assert await call == 7


async def test_a_call_that_has_ended_before_the_client_is_let_in_is_not_sent(serve: Serve) -> None:
    slow = SlowConnect()
    async with raw_client(await serve(socketio.ASGIApp(slow.sio)), "websocket") as client:
        await client.send("0")
        sid = await slow.sids.get()
        with pytest.raises(socketio.exceptions.TimeoutError):
            await slow.sio.call("charge", to=sid, timeout=0)
        await slow.sio.emit("ask", to=sid, callback=print)
        slow.allow.set()
        assert (await client.next()).startswith("40")
        assert await client.next() == '420["ask"]'


@pytest.mark.parametrize(("size", "count"), [(Limits().outbox_bytes // 2, 3), (0, Limits().outbox_bytes // 200 + 1)])
async def test_a_client_that_too_much_waits_for_is_not_let_in(serve: Serve, size: int, count: int) -> None:
    slow = SlowConnect()
    async with raw_client(await serve(socketio.ASGIApp(slow.sio)), "websocket") as client:
        await client.send("0")
        sid = await slow.sids.get()
        for _ in range(3):  # what is no longer awaited takes no room
            with pytest.raises(socketio.exceptions.TimeoutError):
                await slow.sio.call("ended", "x" * (Limits().outbox_bytes // 2), to=sid, timeout=0)
        assert slow.sio.manager.is_connected(sid, "/")
        for _ in range(count):
            await slow.sio.emit("ask", "x" * size, callback=print)
        assert not slow.sio.manager.is_connected(sid, "/")
        slow.allow.set()
        assert await client.next() == '44{"message":"too slow","data":{"code":1013}}'
