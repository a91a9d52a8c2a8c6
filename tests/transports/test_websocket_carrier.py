"""One accepted WebSocket and its reader, on each server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.outbound.frame_writer import offered
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.transports.websocket_carrier import CarrierOptions, WebSocketCarrier
from asgi_realtime.transports.websocket_reader import Ending
from asgi_realtime.uvicorn.take_over import serve_websocket
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.waiting import until

SERVERS: tuple[Implementation, ...] = (*IMPLEMENTATIONS, "plain")
LIMITS = Limits(message_bytes=1_000, handshake_bytes=1_000)


class Reader:
    """Answers each message, and records the calls of the carrier."""

    message_bytes = LIMITS.message_bytes

    def __init__(self, *, authenticating: bool) -> None:
        self.authenticating = authenticating
        self.outbox = Outbox(1_000_000, self)
        self.carrier: WebSocketCarrier
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._ending = Ending(1000, "", flush=True)

    def receive_texts(self, turn: TextTurn) -> None:
        """Leave every text to `receive`."""

    def receive(self, message: str | bytes, now: float) -> bool:
        assert isinstance(message, str)
        self.calls.append(message)
        if message == "violate":
            raise ProtocolError("not allowed")
        if message == "fail":
            raise RuntimeError("a bug")
        self.outbox.push(Frame(f"re: {message}"))
        if message == "end":
            self._end(4000, "bye")
        return message in ("full", "authenticate")

    async def ready(self) -> None:
        await self.gate.wait()
        self.calls.append("ready")
        if "authenticate" in self.calls:
            self.authenticating = False

    def too_large(self, message: str | bytes) -> None:
        self._end(1009, "too large")

    def violated(self, error: ProtocolError) -> None:
        self._end(1002, str(error))

    def failed(self) -> None:
        self._end(1011, "failed")

    def too_much(self) -> None:
        self._end(1008, "too much")

    def overflowed(self) -> None:
        self._end(1013, "too slow")

    def _end(self, code: int, reason: str) -> None:
        self._ending = Ending(code, reason, flush=True)
        self.carrier.end()
        self.carrier.end()

    def begin_close(self) -> Ending:
        self.calls.append("begin_close")
        return self._ending

    def websocket_ended(self) -> None:
        self.calls.append("ended")


class App:
    """Serves one reader for each WebSocket."""

    def __init__(self) -> None:
        self.authenticating = False
        self.readers: list[Reader] = []
        self.returned = asyncio.Event()
        self.tasks = Tasks()
        self._budgets = Budgets(Limits(control_rate=0.001, control_burst=5), Meter())
        self._options = CarrierOptions(LIMITS, fast_writes=True, control=self._budgets.control, tasks=self.tasks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await serve_websocket(self._serve, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        frames = offered(scope, compression=False, message_bytes=1_000, control=self._budgets.control)
        await send({"type": "websocket.accept"})
        reader = Reader(authenticating=self.authenticating)
        reader.carrier = WebSocketCarrier(reader, receive, send, self._options, frames)
        self.readers.append(reader)
        await reader.carrier.serve()
        self.returned.set()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    yield app
    await app.tasks.until_idle()


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, app: App, serve: Serve) -> LiveServer:
    return await serve(app, request.param)


async def said(client: ClientConnection, count: int) -> list[str | bytes]:
    return [await client.recv() for _ in range(count)]


async def close_of(client: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await client.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def without_ready(reader: Reader) -> list[str]:
    return [call for call in reader.calls if call != "ready"]


async def test_messages_are_taken_in_order_until_the_client_leaves(server: LiveServer, app: App) -> None:
    async with connect(server.websocket_url) as client:
        for number in range(200):
            await client.send(str(number))
        assert await said(client, 200) == [f"re: {number}" for number in range(200)]
    (reader,) = app.readers
    await until(lambda: "ended" in reader.calls)
    assert without_ready(reader) == [*map(str, range(200)), "ended"], "nothing is written after the disconnect"


async def test_a_client_that_vanishes_ends_the_reader_once(server: LiveServer, app: App) -> None:
    client = await connect(server.websocket_url)
    await client.send("hello")
    await said(client, 1)
    client.transport.abort()
    (reader,) = app.readers
    await until(lambda: "ended" in reader.calls)
    await client.wait_closed()
    assert reader.calls.count("ended") == 1


async def test_no_message_is_delivered_while_the_reader_is_paused(server: LiveServer, app: App) -> None:
    async with connect(server.websocket_url) as client:
        await client.send("first")
        await said(client, 1)
        (reader,) = app.readers
        reader.calls.clear()
        reader.gate.clear()
        for message in ("full", "next", "full", "last"):
            await client.send(message)
        await said(client, 1)
        reader.gate.set()
        await said(client, 3)
        assert reader.calls[:5] == ["full", "ready", "next", "full", "ready"]


async def test_the_reader_closes_the_websocket_after_queued_messages(server: LiveServer, app: App) -> None:
    async with connect(server.websocket_url) as client:
        await client.send("end")
        assert await said(client, 1) == ["re: end"]
        assert await close_of(client) == (4000, "bye")
    (reader,) = app.readers
    await until(lambda: "ended" in reader.calls)
    assert without_ready(reader) == ["end", "begin_close", "ended"]


@pytest.mark.parametrize(
    ("message", "code"),
    [("violate", 1002), ("fail", 1011), ("x" * 1_001, 1009), ("é" * 501, 1009), ("é" * 500, None)],
)
async def test_an_invalid_message_closes_the_websocket(
    server: LiveServer, app: App, message: str, code: int | None
) -> None:
    async with connect(server.websocket_url) as client:
        await client.send(message)
        if code is None:
            assert await said(client, 1) == [f"re: {message}"]
        else:
            assert (await close_of(client))[0] == code
    (reader,) = app.readers
    await until(lambda: "ended" in reader.calls)


async def test_too_many_pings_close_the_websocket(app: App, serve: Serve) -> None:
    for implementation in IMPLEMENTATIONS:
        server = await serve(app, implementation)
        async with connect(server.websocket_url) as client:
            for _ in range(10):
                await client.ping()
            assert (await close_of(client))[0] == 1008
        reader = app.readers.pop()
        await until(lambda reader=reader: "ended" in reader.calls)  # type: ignore[misc]


async def test_callbacks_take_over_once_the_client_is_authenticated(app: App, serve: Serve) -> None:
    app.authenticating = True
    server = await serve(app, "WebSocketProtocol")
    async with connect(server.websocket_url) as client:
        await client.send("early")
        await said(client, 1)
        assert not app.returned.is_set()
        await client.send("authenticate")
        await client.send("late")
        await app.returned.wait()
        assert await said(client, 2) == ["re: authenticate", "re: late"]
    (reader,) = app.readers
    await until(lambda: "ended" in reader.calls)
    assert reader.calls == ["ready", "early", "authenticate", "ready", "late", "ended"]
