"""What is counted of the events of clients."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette

from asgi_realtime import Connection, Forbidden, Limits, RealtimeMiddleware, Settings, SocketIOGateway, create_token, on
from asgi_realtime.metrics.declarations import CLIENT_BYTES, CLIENT_FRAMES, EVENTS, HANDLER_SECONDS, REFUSED_EVENTS
from asgi_realtime.testing import RealtimeTestClient, Transport
from tests.support.each_transport import each_transport
from tests.support.moved_metrics import moves
from tests.support.node_client import Node
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.servers import Serve
from tests.support.waiting import until

SECRET = "a secret of at least thirty-two bytes"


class Board(SocketIOGateway):
    def __init__(self) -> None:
        super().__init__("/")
        self.go_on = asyncio.Event()

    @on("move")
    async def move(self, x: int) -> int:
        return x

    @on("wait")
    async def wait(self) -> None:
        await self.go_on.wait()

    @on("block")
    def block(self) -> str:
        return "in a thread"

    @on("ask")
    async def ask(self, x: int, connection: Connection) -> None:
        await connection.send("asked", "y" * 100)

    @on("forbidden")
    async def forbidden(self) -> None:
        raise Forbidden("never")

    @on("bug")
    async def bug(self) -> None:
        raise LookupError("of the host")


class App:
    """The app, and its metrics that are not zero."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.board = Board()
        self.metrics = RecordedMetrics()
        settings = Settings(jwt_secret=SECRET, limits=limits or Limits(), presence_grace=0)
        self.app = RealtimeMiddleware(Starlette(), gateways=[self.board], settings=settings, metrics=self.metrics)

    def counted(self, name: str) -> dict[str, float]:
        found = {key: total for key, total in self.metrics.totals.items() if total and key.startswith(name)}
        return {key.removeprefix(f"{name} / "): total for key, total in found.items()}


@moves(EVENTS, REFUSED_EVENTS)
@each_transport
async def test_events_are_counted_by_name_in_both_ways(transport: Transport) -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client:
        async with client.connect("/", token=client.token("ann"), transport=transport) as ann:
            assert await ann.call("move", 1) == 1
            await ann.send("move", 2)
            await ann.send("move", 3)
            assert await ann.call("move", {"too": "long " * 1_000}) is not None  # in the general way, and refused
            for name in ("unknown", "also unknown", "other"):
                await ann.call(name, 1)
    assert app.counted("events_total") == {"move": 4, "other": 3}
    assert app.counted("refused_events_total") == {"INVALID_MESSAGE": 4}


@moves(CLIENT_FRAMES, CLIENT_BYTES)
@each_transport
async def test_what_is_sent_to_one_client_is_counted(transport: Transport) -> None:
    app = App()

    def sent() -> tuple[float, float]:
        return app.metrics.totals["client_frames_total"], app.metrics.totals["client_bytes_total"]

    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        assert sent() == (0, 0)
        assert await ann.call("move", 7) == 7
        frames, acknowledgement = sent()
        assert (frames, acknowledgement) == (1, len("430[7]"))
        await ann.send("ask", 1)
        await ann.expect("asked")
        assert sent() == (2, acknowledgement + len('42["asked",""]') + 100)
        await ann.send("forbidden")
        await ann.expect("error")
        assert sent()[0] == 3
    assert app.metrics.totals["broadcast_frames_total"] == 0


async def test_refusals_are_counted_by_code() -> None:
    app = App(Limits(event_rate=0.001, event_burst=2))
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        for name in ("forbidden", "bug", "move"):
            await ann.call(name)
    assert app.counted("refused_events_total") == {"FORBIDDEN": 1, "INTERNAL": 1, "RATE_LIMITED": 1}
    assert app.counted("events_total") == {"forbidden": 1, "bug": 1}


@moves(HANDLER_SECONDS)
@each_transport
async def test_a_handler_that_waits_is_timed(transport: Transport) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.send("wait")
        await until(lambda: app.counted("events_total") == {"wait": 1})
        assert app.metrics.observed.get("handler_seconds / wait") is None
        app.board.go_on.set()
        assert await ann.call("move", 1) == 1
        assert await ann.call("block") == "in a thread"
        for name in ("wait", "block"):
            counts, seconds = app.metrics.observed[f"handler_seconds / {name}"]
            assert sum(counts) == 1
            assert seconds > 0
    assert "handler_seconds / move" not in app.metrics.observed


@each_transport
async def test_a_handler_that_runs_too_long_is_timed(transport: Transport) -> None:
    app = App(Limits(handler_timeout=0.05))
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.call("wait")
        counts, seconds = app.metrics.observed["handler_seconds / wait"]
    assert sum(counts) == 1
    assert seconds >= 0.05


async def test_events_of_a_stock_client_are_counted(serve: Serve, node: Node) -> None:
    app = App()
    server = await serve(app.app)
    client = await node.connect(server.url, auth={"token": create_token("ann", app.app.realtime.settings)})
    for number in range(3):
        assert await client.call("move", number) == [number]
    assert app.counted("events_total") == {"move": 3}
    await client.disconnect()
