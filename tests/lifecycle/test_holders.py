"""Several servers of one app on one event loop: the gateways stop with the last of their lifespans."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import Connection, Handshake, Identity, Realtime, RealtimeMiddleware, Settings, WebSocketGateway, on
from asgi_realtime.lifecycle.lifecycle import Lifecycle
from asgi_realtime.values.ids import UserId
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId("ann"))


class Room(WebSocketGateway):
    def __init__(self) -> None:
        super().__init__("/room", authenticator=accept_all)

    @on("echo")
    async def echo(self, text: str, connection: Connection) -> None:
        await connection.send("echo", text)


async def enter(server: LiveServer) -> websockets.ClientConnection:
    client = await websockets.connect(f"{server.websocket_url}/room")
    await client.send('{"type":"auth","data":{}}')
    while "auth_success" not in str(await client.recv()):
        pass
    return client


@pytest.mark.parametrize("implementation", [each for each in IMPLEMENTATIONS if each != "hypercorn"])
async def test_a_server_that_stops_closes_no_client_of_another(implementation: Implementation, serve: Serve) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Room()], settings=Settings())
    async with asyncio.timeout(20):
        first, second = [await serve(app, implementation) for _ in range(2)]
        async with await enter(first) as leaving, await enter(second) as staying:
            await first.stop()
            await leaving.wait_closed()
            assert app.realtime.ready
            await staying.send('{"type":"echo","data":"still here"}')
            assert "still here" in str(await staying.recv())
            await second.stop()
            await staying.wait_closed()
        assert staying.close_code == 1012 and app.realtime.lifecycle.loop is None


async def test_a_hypercorn_server_that_stops_does_not_wait_for_its_clients(serve: Serve) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Room()], settings=Settings())
    async with asyncio.timeout(20):
        first, second = [await serve(app, "hypercorn") for _ in range(2)]
        async with await enter(first) as leaving, await enter(second) as other:
            await first.stop()
            await leaving.wait_closed()
            await other.wait_closed()
        assert leaving.close_code == other.close_code == 1012


async def test_blocks_of_a_realtime_may_be_nested() -> None:
    realtime = Realtime(gateways=[Room()], settings=Settings())
    async with realtime:
        async with realtime:
            pass
        ready = [realtime.ready]
        await realtime.stop()
        ready.append(realtime.ready)
    async with realtime:
        ready.append(realtime.ready)
    ready.append(realtime.ready)
    assert ready == [True, False, True, False]


class Service:
    """A service that records its starts and stops."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cancelled: asyncio.Task[None] | None = None
        """A task that is cancelled when the start has ended."""
        self.lifecycle = Lifecycle(self._start)

    async def _start(self, stack: AsyncExitStack) -> None:
        self.log.append("start")
        stack.callback(self.log.append, "stop")
        if self.cancelled is not None:
            asyncio.get_running_loop().call_soon(self.cancelled.cancel)


async def test_a_stop_ends_the_service_for_all_holders() -> None:
    service = Service()
    await service.lifecycle.hold()
    await service.lifecycle.hold()
    await service.lifecycle.stop()
    assert service.log == ["start", "stop"]
    await service.lifecycle.hold()
    await service.lifecycle.release()
    assert service.log == ["start", "stop"] * 2


async def test_a_holder_that_is_cancelled_when_the_start_has_ended_keeps_nothing_running() -> None:
    service = Service()
    service.cancelled = asyncio.create_task(service.lifecycle.hold())
    with pytest.raises(asyncio.CancelledError):
        await service.cancelled
    assert service.log == ["start", "stop"] and service.lifecycle.loop is None


def test_holders_of_an_event_loop_that_has_ended_are_forgotten() -> None:
    service = Service()

    async def serve(release: bool) -> None:
        await service.lifecycle.hold()
        if release:
            await service.lifecycle.release()

    asyncio.run(serve(False))
    asyncio.run(serve(True))
    assert service.log == ["start", "start", "stop"]
