"""The spans of clients' events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Disconnect,
    Forbidden,
    Json,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    create_token,
    on,
)
from asgi_realtime.testing import RealtimeTestClient, Transport
from tests.support.each_transport import each_transport
from tests.support.host_spans import HostSpans
from tests.support.node_client import Node
from tests.support.recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, RecordedSpans
from tests.support.servers import Implementation, Serve
from tests.support.waiting import until

SECRET = "a secret of at least thirty-two bytes"


def current_span_id() -> int:
    """The id of the current span. 0: there is none."""
    return trace.get_current_span().get_span_context().span_id


class Board(SocketIOGateway):
    """Handlers with every kind of outcome."""

    def __init__(self, spans: RecordedSpans) -> None:
        super().__init__("/")
        self.spans = spans
        self.seen: dict[str, int] = {}
        self.go_on = asyncio.Event()

    @on("move")
    async def move(self, x: int, connection: Connection) -> int:
        self.seen["move"] = current_span_id()
        return x

    @on("any")
    async def handle_any(self, *values: Any) -> None:
        self.seen["any"] = current_span_id()

    @on("wait")
    async def wait(self) -> None:
        self.seen["wait begins"] = current_span_id()
        await self.go_on.wait()
        self.seen["wait"] = current_span_id()

    @on("block")
    def block(self) -> str:
        self.seen["block"] = current_span_id()
        return "in a thread"

    @on("query")
    async def query(self) -> None:
        with self.spans.tracer.start_as_current_span("SELECT"):
            await asyncio.sleep(0)  # the handler waits, in a span of the host

    @on("forbidden")
    async def forbidden(self) -> None:
        raise Forbidden("never")

    @on("bug")
    async def bug(self) -> None:
        raise LookupError("of the host")

    @on("late bug")
    async def late_bug(self) -> None:
        await asyncio.sleep(0)  # it fails after it has waited
        raise LookupError("of the host")

    @on("once", once="id")
    async def handle_once(self, data: dict[str, Any]) -> int:
        return len(self.seen)

    @on("leave")
    async def leave(self) -> None:
        raise Disconnect(1008, "enough")


class App:
    """The app, and its spans."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.spans = RecordedSpans()
        self.board = Board(self.spans)
        settings = Settings(jwt_secret=SECRET, limits=limits or Limits(), presence_grace=0)
        self.app = RealtimeMiddleware(Starlette(), gateways=[self.board], settings=settings, tracing=self.spans.tracing)


@each_transport
async def test_each_event_has_a_span_in_a_trace_of_its_own(transport: Transport) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        assert await ann.call("move", 1) == 1
        await ann.send("move", 2)
        await ann.send("any")
        await client.settle()
    first, second, third = app.spans.all
    assert first.name == "handle / move"
    assert first.kind == "CONSUMER"
    assert first.attributes == {
        "messaging.system": "asgi_realtime",
        "messaging.operation.name": "handle",
        "messaging.operation.type": "process",
        "messaging.destination.name": "/",
        "realtime.gateway": "/",
        "realtime.event": "move",
    }
    assert (first.status, first.parent_id, first.links) == ("UNSET", None, [])
    assert second.outcome == first.outcome
    assert third.name == "handle / any"
    assert len({first.trace_id, second.trace_id, third.trace_id}) == 3


async def outcomes(transport: Transport) -> list[tuple[object, ...]]:
    """The spans of events that come in one of the ways."""
    app = App(Limits(handler_timeout=0.3))
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect(
            "/", token=client.token("ann"), transport=transport, headers={"traceparent": TRACEPARENT}
        ) as ann,
    ):
        for event in (
            *(("move", 1), ("move", "no number"), ("move",), ("any", {"a": [1]}, 2), ("any",), ("block",), ("query",)),
            *(("forbidden",), ("bug",), ("late bug",), ("wait",), ("unknown",), ("once", {"id": "1"}), ("once", {})),
        ):
            await ann.call(*event)
        await ann.send("leave")
        await ann.expect_closed()
    return [span.outcome for span in app.spans.all]


async def test_both_ways_have_the_same_spans() -> None:
    general, plain = await outcomes("websocket"), await outcomes("polling")
    assert general == plain
    assert len(general) == 15  # the query has one, and the unknown event none


@each_transport
async def test_a_handler_runs_within_its_span(transport: Transport) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.call("move", 1)
        await ann.call("block")
        await ann.call("query")
        await ann.send("wait")
        await until(lambda: "wait begins" in app.board.seen)
        assert app.spans.named("handle / wait") == []
        app.board.go_on.set()
        await ann.call("any", 1)
    for event in ("move", "block", "wait", "any"):
        assert app.spans.one(f"handle / {event}").span_id == app.board.seen[event]
    assert app.board.seen["wait begins"] == app.board.seen["wait"]
    assert app.spans.one("SELECT").is_child_of(app.spans.one("handle / query"))


@each_transport
@pytest.mark.parametrize(
    ("event", "error", "exceptions"),
    [
        (("forbidden",), "FORBIDDEN", []),
        (("move", "no number"), "INVALID_MESSAGE", []),
        (("bug",), "LookupError", ["LookupError"]),
        (("late bug",), "LookupError", ["LookupError"]),
    ],
)
async def test_a_refusal_and_a_failure_are_its_status(
    transport: Transport, event: tuple[Any, ...], error: str, exceptions: list[str]
) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.call(*event)
    span = app.spans.one(f"handle / {event[0]}")
    assert (span.status, span.reason, span.attributes["error.type"]) == ("ERROR", error, error)
    assert span.exceptions == exceptions


@each_transport
async def test_a_disconnect_by_the_host_is_its_status(transport: Transport) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.send("leave")
        await ann.expect_closed()
    span = app.spans.one("handle / leave")
    assert (span.status, span.attributes["error.type"], span.exceptions) == ("ERROR", "DISCONNECT", [])


async def test_an_event_that_no_handler_takes_has_no_span() -> None:
    app = App(Limits(event_rate=0.001, event_burst=2))
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        for name in ("unknown", "move", "move"):
            await ann.call(name, 1)
    assert app.spans.names == ["handle / move"]


async def test_an_event_that_is_sent_again_has_a_span_each_time() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        for _ in range(2):
            await ann.call("once", {"id": "1"})
        await ann.call("once", {"id": "1", "other": True})
    assert [span.attributes.get("error.type") for span in app.spans.named("handle / once")] == [
        None,
        None,
        "CONFLICT",
    ]


async def test_events_of_a_json_websocket() -> None:
    spans = RecordedSpans()
    gateway = WebSocketGateway("/ws")

    @gateway.on("move")
    async def move(x: int) -> None: ...

    app = RealtimeMiddleware(
        Starlette(), gateways=[gateway], settings=Settings(jwt_secret=SECRET), tracing=spans.tracing
    )
    async with RealtimeTestClient(app) as client:
        headers = {"traceparent": TRACEPARENT}
        async with client.connect("/ws", token=client.token("ann"), headers=headers) as ann:
            await ann.send("move", 1)
            await ann.send("move", "no number")
            await ann.expect("error")
    assert [(span.name, span.status) for span in spans.all] == [
        ("handle /ws move", "UNSET"),
        ("handle /ws move", "ERROR"),
    ]
    assert [list(span.links) for span in spans.all] == [[(TRACE_ID, SPAN_ID)]] * 2


async def test_events_of_python_socketios_api() -> None:
    spans = RecordedSpans()
    server = SocketIOServer()

    @server.event
    async def move(sid: str, x: int) -> int:
        if x < 0:
            raise LookupError("of the host")
        return current_span_id()

    @server.on("*")
    async def any_other(event: str, sid: str, *values: object) -> None: ...

    app = RealtimeMiddleware(
        Starlette(), gateways=[server], settings=Settings(jwt_secret=SECRET), tracing=spans.tracing
    )
    async with RealtimeTestClient(app) as client, client.connect("/") as ann:
        seen = await ann.call("move", 1)
        await ann.send("move", -1)
        await ann.call("a name that the client has chosen")
    moved, failed, other = spans.all
    assert moved.span_id == seen
    assert (failed.status, failed.attributes["error.type"]) == ("ERROR", "LookupError")
    assert [each.name for each in (moved, failed, other)] == ["handle / move"] * 2 + ["handle / other"]
    assert other.attributes["realtime.event"] == "other"


async def test_names_that_clients_choose_are_in_no_span() -> None:
    """A gateway that handles events without declaring them."""
    spans = RecordedSpans()

    class Relay(SocketIOGateway):
        def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Coroutine[Any, Any, str]:
            async def answer() -> str:
                return event

            return answer()

    app = RealtimeMiddleware(
        Starlette(), gateways=[Relay()], settings=Settings(jwt_secret=SECRET), tracing=spans.tracing
    )
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")) as ann:
        for number in range(3):
            assert await ann.call(f"chosen {number}") == f"chosen {number}"
    assert spans.names == ["handle / other"] * 3


# Links to the handshake


@each_transport
async def test_events_are_linked_to_the_clients_span(transport: Transport) -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client:
        headers = {"traceparent": TRACEPARENT}
        async with client.connect("/", token=client.token("ann"), headers=headers, transport=transport) as ann:
            for number in range(2):
                await ann.call("move", number)
    assert [list(span.links) for span in app.spans.all] == [[(TRACE_ID, SPAN_ID)]] * 2
    assert TRACE_ID not in {span.trace_id for span in app.spans.all}


@each_transport
async def test_events_are_linked_to_the_span_of_the_hosts_instrumentation(transport: Transport) -> None:
    app = App()
    host = HostSpans(app.app, app.spans.tracer)
    async with RealtimeTestClient(host) as client:
        headers = {"traceparent": TRACEPARENT}
        async with client.connect("/", token=client.token("ann"), headers=headers, transport=transport) as ann:
            await ann.call("move", 1)
    event = app.spans.one("handle / move")
    kind = "websocket" if transport == "websocket" else "http"
    [link] = event.links
    handshakes = [(span.trace_id, span.span_id) for span in app.spans.named(f"{kind} /socket.io/")]
    # With polling the first request is the handshake, and others follow.
    assert link == handshakes[0]
    assert event.parent_id is None


@pytest.mark.parametrize("implementation", ["uvicorn", "WebSocketProtocol", "hypercorn"])
async def test_events_of_a_stock_client(serve: Serve, node: Node, implementation: Implementation) -> None:
    app = App()
    server = await serve(HostSpans(app.app, app.spans.tracer), implementation)
    token = create_token("ann", app.app.realtime.settings)
    client = await node.connect(server.url, auth={"token": token}, transports=["websocket"])
    for number in range(3):
        assert await client.call("move", number) == [number]
    assert await client.call("block") == ["in a thread"]
    await client.disconnect()
    await until(lambda: app.spans.named("websocket /socket.io/"))
    handshake = app.spans.one("websocket /socket.io/")
    events = [span for span in app.spans.all if span.name.startswith("handle")]
    assert [span.name for span in events] == ["handle / move"] * 3 + ["handle / block"]
    assert [list(span.links) for span in events] == [[(handshake.trace_id, handshake.span_id)]] * 4
    assert [span.parent_id for span in events] == [None] * 4


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "nonsense"},
        {"traceparent": TRACEPARENT + "-more"},
        {"traceparent": TRACEPARENT.upper()},
        {"traceparent": "00-" + "0" * 32 + "-" + "1" * 16 + "-01"},
        {"traceparent": "0" * 100_000},
    ],
    ids=lambda headers: headers["traceparent"][:20],
)
async def test_a_header_that_names_no_span_is_ignored(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    with caplog.at_level(logging.DEBUG):
        async with RealtimeTestClient(app.app) as client:
            async with client.connect("/", token=client.token("ann"), headers=headers) as ann:
                await ann.call("move", 1)
    assert list(app.spans.one("handle / move").links) == []
    assert [record for record in caplog.records if record.name.startswith(("opentelemetry", "asgi_realtime"))] == []


async def test_a_state_that_is_not_valid_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    with caplog.at_level(logging.DEBUG):
        async with RealtimeTestClient(app.app) as client:
            headers = {"traceparent": TRACEPARENT, "tracestate": "=,=" * 10_000}
            async with client.connect("/", token=client.token("ann"), headers=headers) as ann:
                await ann.call("move", 1)
    assert list(app.spans.one("handle / move").links) == [(TRACE_ID, SPAN_ID)]
    assert [record for record in caplog.records if record.name.startswith(("opentelemetry", "asgi_realtime"))] == []
