"""The protocol class under uvicorn, from the side of the ASGI application and of the client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from asgi_realtime.protocols.rfc6455 import encode
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.certificates import tls_contexts
from tests.support.client_frames import BINARY, CLOSE, PING, PONG, TEXT, close, frame, text
from tests.support.protocol_server import PATIENCE, ProtocolServer, ShortTimeouts, protocol_server
from tests.support.raw_websocket import connect, open_websocket, request
from tests.support.waiting import until


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"debug": not request.param, "use_uvloop": request.param}


class Application:
    """An ASGI application whose WebSockets run a test's function, and which records the outcomes."""

    def __init__(self, serve: Callable[[Scope, Receive, Send], Awaitable[Any]], *, accept: bool = True) -> None:
        self._serve = serve
        self._accept = accept
        self.scopes: list[Scope] = []
        self.outcomes: list[Any] = []
        """What each run returned or raised."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        if self._accept:
            await send({"type": "websocket.accept"})
        try:
            self.outcomes.append(await self._serve(scope, receive, send))
        except BaseException as error:
            self.outcomes.append(error)
            raise

    async def outcome(self) -> Any:
        """The first one."""
        await until(lambda: self.outcomes)
        return self.outcomes[0]


def serving(app: Any, **options: Any) -> Any:
    return protocol_server(app, lifespan="off", **options)


async def until_disconnect(scope: Scope, receive: Receive, send: Send) -> list[Any]:
    events: list[Any] = []
    while not events or events[-1]["type"] != "websocket.disconnect":
        events.append(await receive())
    return events


def received(message: str | bytes) -> dict[str, Any]:
    return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}


def disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


# The handshake


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_nothing_of_uvicorns_http_waits_for_the_garbage_collector(http: str) -> None:
    gc.collect()
    gc.disable()
    try:
        async with serving(Application(until_disconnect), http=http) as server, open_websocket(server.port) as client:
            await client.reached()
            kinds = [type(each).__name__ for each in gc.get_objects()]
            assert "WebSocketCycle" in kinds
            assert not {"HttpToolsProtocol", "HttpRequestParser", "H11Protocol"} & set(kinds)
    finally:
        gc.enable()


@pytest.mark.parametrize("first", ["write", "send", "close", "ping of the client"])
async def test_a_held_acceptance_leaves_with_what_is_written_first(first: str) -> None:
    accepted, release = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        transport = scope["extensions"]["asgi_realtime.frames"]
        transport.hold_acceptance = scope["path"] == "/held"
        await send({"type": "websocket.accept"})
        if scope["path"] == "/held":
            accepted.set()
            await release.wait()
            if first == "write":
                transport.write(encode("a"))
            elif first == "send":
                await send({"type": "websocket.send", "text": "a"})
            elif first == "close":
                transport.close(4000, "a")
        await receive()

    async with serving(app) as server, connect(server.port) as held:
        await held.send(request("/held"))
        answer = asyncio.ensure_future(held.reader.read(65_536))
        await accepted.wait()
        async with open_websocket(server.port) as other:
            await other.reached()
        assert not answer.done()
        release.set()
        if first == "ping of the client":
            await held.send(frame(PING, b"a"))
        async with asyncio.timeout(PATIENCE):
            head, _, frames = (await answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert (
        frames
        == {
            "write": b"\x81\x01a",
            "send": b"\x81\x01a",
            "close": b"\x88\x03\x0f\xa0a",
            "ping of the client": b"\x8a\x01a",
        }[first]
    )


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_the_scope_equals_that_of_uvicorn(http: str) -> None:
    app = Application(until_disconnect)
    async with serving(app, http=http, root_path="/api") as server:
        headers = "Cookie: a=b\r\nX-Name: hé\r\nSec-WebSocket-Protocol: v2, v1\r\n"
        async with open_websocket(server.port, "/caf%C3%A9/x?token=a%20b&c", headers) as client:
            address = client.writer.get_extra_info("sockname")
    scope = app.scopes[0]
    del scope["extensions"]["asgi_realtime.frames"]
    headers_in_scope = dict(scope.pop("headers"))
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", server.port),
        "client": address,
        "root_path": "/api",
        "path": "/api/café/x",
        "raw_path": b"/api/caf%C3%A9/x",
        "query_string": b"token=a%20b&c",
        "subprotocols": ["v2", "v1"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert headers_in_scope[b"cookie"] == b"a=b"
    assert headers_in_scope[b"x-name"] == "hé".encode()


async def test_the_answer_carries_the_applications_headers_and_the_servers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"X-App", b"1"), (b"set-cookie", b"a=b")]
        await send({"type": "websocket.accept", "subprotocol": "v1", "headers": headers})

    async with serving(app, headers=[("x-server", "2")]) as server:
        async with open_websocket(server.port, headers="Sec-WebSocket-Protocol: v2, v1\r\n") as client:
            lines = client.head.lower().split(b"\r\n")
            assert {b"x-app: 1", b"set-cookie: a=b", b"sec-websocket-protocol: v1", b"x-server: 2"} < set(lines)
            assert b"server: uvicorn" in lines
            assert b"sec-websocket-accept: " + b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower() in lines
            assert not any(line.startswith(b"sec-websocket-extensions") for line in lines)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"Version: 13", b"Version: 8"), 426),
        ((b"Key: dGhl", b"Key: d"), 400),
        ((b"GET /", b"POST /"), 400),
        ((b"\r\n\r\n", b"\r\nX-A: " + b"a" * 66_000 + b"\r\n\r\n"), 431),
    ],
)
async def test_a_request_that_opens_no_session_gets_the_reason(change: tuple[bytes, bytes], status: int) -> None:
    app = Application(until_disconnect)
    async with serving(app, http="httptools") as server:
        async with connect(server.port) as client:
            await client.send(request().replace(*change))
            assert (await client.read_head()).startswith(b"HTTP/1.1 %d " % status)
            assert b"connection: close\r\n" in client.head
            assert await client.reader.read()
    assert not app.scopes


async def test_plain_requests_are_handled_by_uvicorn() -> None:
    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def websocket(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][0])
        async for message in websocket.iter_text():
            await websocket.send_json({"echo": message, "q": websocket.query_params["q"]})

    app = Starlette(routes=[Route("/page", page), WebSocketRoute("/ws", websocket)])
    async with protocol_server(app) as server:
        async with connect(server.port) as client:
            await client.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 OK" in await client.read_head()
            await client.reader.readexactly(4)
            await client.send(request("/page"))
            assert b" 403 " in await client.read_head()  # there is no WebSocket there
        url = f"ws://127.0.0.1:{server.port}/ws?q=1"
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("v1")]) as websocket_client:
            await websocket_client.send("hello")
            assert await websocket_client.recv() == '{"echo":"hello","q":"1"}'
            assert websocket_client.subprotocol == "v1"
        assert websocket_client.close_code == 1000


async def test_the_lifespans_state_is_shared_and_its_copy_is_not() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pool"] = pool
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        states.append(scope["state"])
        scope["state"]["mine"] = True

    states: list[dict[str, Any]] = []
    pool = object()
    async with protocol_server(app) as server:
        for _ in range(2):
            async with connect(server.port) as client:
                await client.send(request())
                await client.read_head()
    assert states == [{"pool": pool, "mine": True}] * 2
    assert states[0] is not states[1]


async def test_a_websocket_over_tls_is_served(tmp_path: Path) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})

    app = Application(echo)
    server_context, client_context = tls_contexts(tmp_path)
    async with serving(app, tls=server_context) as server:
        async with websockets.connect(
            f"wss://127.0.0.1:{server.port}/", ssl=client_context, compression=None, max_size=None
        ) as client:
            for message in ("hello", b"x" * 2_000_000, "é" * 100_000):
                await client.send(message)
                assert await client.recv() == message
        assert client.close_code == 1000
        async with open_websocket(server.port, tls=client_context) as raw:
            await raw.send(frame(TEXT, b"\xff"))
            assert [opcode for opcode, _ in await raw.rest()] == [CLOSE]
    assert app.scopes[0]["scheme"] == "wss"


async def test_a_slow_request_is_cut() -> None:
    # uvicorn passes whole requests only. Without it, the class reads them itself.
    config = uvicorn.Config(Application(until_disconnect), ws=ShortTimeouts, log_config=None)
    state = ServerState()
    listener = await asyncio.get_running_loop().create_server(lambda: ShortTimeouts(config, state, {}), "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        async with connect(port) as client:
            await client.send(request()[:50])
            assert await client.reader.read() == b""
        async with connect(port) as client:
            await client.send(request("/?" + "x" * 70_000), piece=10_000)
            assert b" 431 " in await client.read_head()
        async with connect(port) as client:
            await client.send(request() + text("early"), piece=7)
            assert b" 101 " in await client.read_head()
    await until(lambda: not state.connections and not state.tasks)


async def test_a_frame_right_after_the_request_waits_for_the_acceptance() -> None:
    app = Application(until_disconnect)
    state = ServerState()
    config = uvicorn.Config(app, ws=ShortTimeouts, log_config=None)
    listener = await asyncio.get_running_loop().create_server(lambda: ShortTimeouts(config, state, {}), "127.0.0.1", 0)
    async with listener, connect(listener.sockets[0].getsockname()[1]) as client:
        await client.send(request() + text("a") + text("b") + close(4000, b"bye"))
        assert await app.outcome() == [received("a"), received("b"), disconnect(4000, "bye")]
    await until(lambda: not state.connections and not state.tasks)


# Refusals


async def test_a_close_before_the_acceptance_is_a_403() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> Any:
        await send({"type": "websocket.close"})
        with pytest.raises(RuntimeError, match="after sending"):
            await send({"type": "websocket.accept"})
        return await receive()

    app = Application(refuse, accept=False)
    async with serving(app) as server, connect(server.port) as client:
        await client.send(request())
        assert (await client.read_head()).startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert await client.reader.read() == b""
        assert await app.outcome() == disconnect(1006)


async def test_a_refusal_with_a_response_of_the_applications_own() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"x-a", b"b")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        if scope["path"] == "/stream":
            await send({"type": "websocket.http.response.body", "body": b"{", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"}"})
        else:
            await send({"type": "websocket.http.response.body", "body": b"{}"})

    async with serving(Application(refuse, accept=False)) as server:
        for path, length in (("/", True), ("/stream", False)):
            async with connect(server.port) as client:
                await client.send(request(path))
                head = await client.read_head()
                assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nx-a: b\r\n")
                assert (b"content-length: 2\r\n" in head) is length
                assert await client.reader.read() == b"{}"


async def test_an_incomplete_refusal_response_closes_the_connection() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"{", "more_body": True})

    async with serving(Application(refuse, accept=False)) as server, connect(server.port) as client:
        await client.send(request())
        assert b" 401 " in await client.read_head()
        with contextlib.suppress(ConnectionResetError):
            assert await client.reader.read() == b"{"
        await until(lambda: not server.server_state.connections)


async def raise_error(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("a bug")


async def do_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def accept_badly(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept", "headers": [(b"x-a", b"b\r\nx-c: d")]})


async def send_first(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.send", "text": "a"})


@pytest.mark.parametrize(
    ("serve", "line"),
    [
        (raise_error, "Exception in ASGI application\n"),
        (do_nothing, "ASGI callable returned without completing handshake."),
        (accept_badly, "Exception in ASGI application\n"),
        (send_first, "Exception in ASGI application\n"),
    ],
)
async def test_an_application_that_fails_before_accepting_is_a_500(
    serve: Callable[[Scope, Receive, Send], Awaitable[None]], line: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Application(serve, accept=False)) as server, connect(server.port) as client:
        await client.send(request())
        assert (await client.read_head()).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert await client.reader.read() == b"Internal Server Error"
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [line]


async def test_accepting_a_client_that_has_disconnected_raises() -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> Any:
        event = await receive()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})
        return event

    app = Application(wait, accept=False)
    async with serving(app) as server:
        async with connect(server.port) as client:
            await client.send(request())
            await until(lambda: app.scopes)
            client.vanish()
        assert await app.outcome() == disconnect(1006)


# Messages


async def test_messages_come_one_by_one_and_then_the_end() -> None:
    app = Application(until_disconnect)
    async with serving(app) as server, open_websocket(server.port) as client:
        await client.send(text("a") + frame(BINARY, b"b") + text("") + frame(BINARY) + close(4001, "tschüß".encode()))
        assert [code for code, _ in await client.rest()] == [CLOSE]
        events = [received("a"), received(b"b"), received(""), received(b""), disconnect(4001, "tschüß")]
        assert await app.outcome() == events


@pytest.mark.parametrize(
    ("last", "code"), [(close(), 1005), (frame(TEXT, b"\xff"), 1007), (frame(TEXT, length=1 << 40), 1009), (b"", 1006)]
)
async def test_the_disconnect_event_carries_the_close_code(last: bytes, code: int) -> None:
    app = Application(until_disconnect)
    async with serving(app) as server, open_websocket(server.port) as client:
        await client.send(text("a") + last)
        client.writer.write_eof()
        events = await app.outcome()
        assert events[0] == received("a")
        assert events[1]["code"] == code


async def test_a_send_event_may_have_text_or_bytes_or_both_keys() -> None:
    async def talk(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.send", "text": "a", "bytes": None})
        await send({"type": "websocket.send", "text": None, "bytes": b"b"})
        await send({"type": "websocket.send", "bytes": bytearray(b"c")})
        await send({"type": "websocket.send", "text": ""})

    async with serving(Application(talk)) as server, open_websocket(server.port) as client:
        assert await client.rest() == [
            (TEXT, b"a"),
            (BINARY, b"b"),
            (BINARY, b"c"),
            (TEXT, b""),
            (CLOSE, (1000).to_bytes(2)),
        ]


async def test_sending_after_the_end_raises_an_error() -> None:
    async def close_twice(scope: Scope, receive: Receive, send: Send) -> Any:
        await send({"type": "websocket.close", "code": 4000, "reason": "r" * 200})
        with pytest.raises(RuntimeError, match="after sending 'websocket.close'"):
            await send({"type": "websocket.send", "text": "a"})
        return [await receive(), await receive()]

    async def send_for_ever(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "a"})
            await asyncio.sleep(0)

    app = Application(close_twice)
    async with serving(app) as server, open_websocket(server.port) as client:
        assert await client.rest() == [(CLOSE, (4000).to_bytes(2) + b"r" * 123)]
        assert await app.outcome() == [disconnect(4000, "r" * 200)] * 2

    for last in (close(1000), None):
        app = Application(send_for_ever)
        async with serving(app) as server, open_websocket(server.port) as client:
            if last is None:
                client.vanish()
            else:
                await client.send(last)
            assert isinstance(await app.outcome(), ClientDisconnected)


async def test_starlette_sees_the_disconnect_it_knows() -> None:
    async def websocket(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            seen.append((error.code, error.reason))

    seen: list[tuple[int, str | None]] = []
    async with protocol_server(Starlette(routes=[WebSocketRoute("/", websocket)])) as server:
        async with open_websocket(server.port) as client:
            await client.send(close(3001, b"why"))
            await client.rest()
        await until(lambda: seen)
    assert seen == [(3001, "why")]


@pytest.mark.parametrize(("serve", "code"), [(do_nothing, 1000), (raise_error, 1011)])
async def test_a_websocket_ends_with_its_application(
    serve: Callable[[Scope, Receive, Send], Awaitable[None]], code: int
) -> None:
    async with serving(Application(serve)) as server, open_websocket(server.port) as client:
        assert await client.rest() == [(CLOSE, code.to_bytes(2))]


async def test_a_cancelled_receive_loses_nothing() -> None:
    async def serve(scope: Scope, receive: Receive, send: Send) -> Any:
        waiting = asyncio.ensure_future(receive())
        await asyncio.wait([waiting], timeout=0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await send({"type": "websocket.send", "text": "go"})
        return await receive()

    app = Application(serve)
    async with serving(app) as server, open_websocket(server.port) as client:
        assert await client.next() == (TEXT, b"go")
        await client.send(text("a"))
        assert await app.outcome() == received("a")


# Back-pressure


async def test_a_client_is_read_no_faster_than_its_application_receives() -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> int:
        await proceed.wait()
        events = await until_disconnect(scope, receive, send)
        return sum(len(event["bytes"]) for event in events[:-1])

    proceed = asyncio.Event()
    app = Application(wait)
    async with serving(app) as server, open_websocket(server.port) as client:
        message = frame(BINARY, b"x" * 100_000)
        written = 0
        client.writer.transport.set_write_buffer_limits(high=0)
        while written < 100_000_000:
            client.writer.write(message)
            try:
                async with asyncio.timeout(0.3):
                    await client.writer.drain()
            except TimeoutError:
                break
            written += 100_000
        assert written < 30_000_000, "little more than the buffers of the sockets"
        proceed.set()
        await client.send(close(1000))
        assert await app.outcome() == written + 100_000


async def test_send_waits_for_a_client_that_does_not_read() -> None:
    sent = 0

    async def send_much(scope: Scope, receive: Receive, send: Send) -> str:
        nonlocal sent
        while sent < 1000:
            await send({"type": "websocket.send", "bytes": b"x" * 100_000})
            sent += 1
        return "done"

    app = Application(send_much)
    async with serving(app) as server, open_websocket(server.port) as client:
        before = -1
        while before != sent:  # until no more bytes are written
            before = sent
            await asyncio.wait([asyncio.ensure_future(app.outcome())], timeout=0.2)
        assert 0 < sent < 300
        while await client.next() != (CLOSE, (1000).to_bytes(2)):
            pass
        assert await app.outcome() == "done"

    sent = 0
    app = Application(send_much)
    async with serving(app) as server, open_websocket(server.port) as client:
        await until(lambda: sent)
        client.vanish()
        assert isinstance(await app.outcome(), ClientDisconnected)


async def test_a_flood_of_pings_from_a_client_that_does_not_read_is_not_kept() -> None:
    app = Application(until_disconnect)
    async with serving(app) as server, open_websocket(server.port) as client:
        transport = app.scopes[0]["extensions"]["asgi_realtime.frames"]
        transport.control = Budget("control", 1e9, 1e9)  # this test is about what is kept, not about the rate
        flood = frame(PING, b"x" * 125) * 2000
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(100):
            await client.send(flood)
            assert transport.buffered < 1_000_000
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.next())[0] == PONG


# Ends


async def test_a_client_that_does_not_answer_a_close_is_cut() -> None:
    app = Application(do_nothing)
    async with serving(app) as server, open_websocket(server.port) as client:
        assert await client.next() == (CLOSE, (1000).to_bytes(2))
        assert await client.reader.read() == b""
        await until(lambda: not server.server_state.connections)


async def test_a_close_waits_for_a_client_that_does_not_read() -> None:
    async def stuff(scope: Scope, receive: Receive, send: Send) -> str:
        frames = scope["extensions"]["asgi_realtime.frames"]
        while frames.buffered < 20_000_000:
            frames.write(encode(b"x" * 100_000))
        try:
            async with asyncio.timeout(0.05):
                await send({"type": "websocket.close"})
        except TimeoutError:
            send.__self__.transport.abort()  # type: ignore[attr-defined] # as `asgi_realtime.outbound.asgi_writer` does it
            return "cut"
        return "closed"

    app = Application(stuff)
    async with serving(app, protocol=WebSocketProtocol) as server, open_websocket(server.port):
        assert await app.outcome() == "cut"
        await until(lambda: not server.server_state.connections)


async def test_a_stalled_client_is_cut_too_when_its_websocket_is_closed() -> None:
    async def stuff(scope: Scope, receive: Receive, send: Send) -> None:
        frames = scope["extensions"]["asgi_realtime.frames"]
        while not frames.buffered:
            await send({"type": "websocket.send", "bytes": b"x" * 1_000_000})

    async with serving(Application(stuff)) as server, open_websocket(server.port):
        await until(lambda: not server.server_state.connections)


async def test_a_client_that_breaks_the_protocol_gets_the_close_while_it_keeps_sending() -> None:
    app = Application(until_disconnect)
    async with serving(app, ws_max_size=1000, protocol=ShortTimeouts) as server, open_websocket(server.port) as client:
        await client.send(frame(BINARY, b"x" * 200_000))
        opcode, payload = await client.next()
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2))
        assert (await app.outcome())[-1]["code"] == 1009


@pytest.mark.parametrize("answers", [True, False])
async def test_a_stopping_server_sends_its_close_code(answers: bool) -> None:
    app = Application(until_disconnect)
    async with serving(app) as server, open_websocket(server.port) as client:
        await client.reached()
        server.stopping.set()
        assert await client.next() == (CLOSE, (1012).to_bytes(2))
        if answers:
            await client.send(close(1012))
        assert await client.reader.read() == b""
        assert await app.outcome() == [disconnect(1012)]


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "websocket.accept"},
        {"type": "websocket.close"},
        {"type": "websocket.http.response.start", "status": 404, "headers": []},
    ],
)
async def test_a_stopping_server_accepts_no_client(answer: Message, caplog: pytest.LogCaptureFixture) -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> Any:
        event = await receive()
        try:
            await send(answer)
        except ClientDisconnected:
            app.outcomes.append(event)
            raise

    app = Application(wait, accept=False)
    async with serving(app) as server, connect(server.port) as client:
        await client.send(request())
        await until(lambda: app.scopes)
        server.stopping.set()
        assert b" 503 " in await client.read_head()
        assert await app.outcome() == disconnect(1012)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_application_that_does_not_end_is_cancelled_after_the_graceful_timeout() -> None:
    async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    app = Application(ignore)
    async with serving(app, timeout_graceful_shutdown=1) as server, open_websocket(server.port) as client:
        await client.reached()
        server.stopping.set()
        assert [code for code, _ in await client.rest()] == [CLOSE]
        assert isinstance(await app.outcome(), asyncio.CancelledError)


# Heartbeats


async def test_a_silent_client_is_pinged_and_cut_if_it_does_not_answer() -> None:
    app = Application(until_disconnect)
    async with (
        serving(app, ws_ping_interval=0.1, ws_ping_timeout=0.1) as server,
        open_websocket(server.port) as client,
    ):
        for _ in range(3):
            assert await client.next() == (PING, b"")
            await client.send(frame(PONG))
        assert (await client.rest())[-1] == (CLOSE, (1011).to_bytes(2) + b"keepalive ping timeout")
        assert await app.outcome() == [disconnect(1011, "keepalive ping timeout")]


async def test_a_client_that_talks_is_not_pinged() -> None:
    app = Application(until_disconnect)
    async with (
        serving(app, ws_ping_interval=0.2, ws_ping_timeout=0.1) as server,
        open_websocket(server.port) as client,
    ):
        for _ in range(20):
            await client.send(frame(PING, b"mine"))
            assert await client.next() == (PONG, b"mine")
            await asyncio.sleep(0.03)


# Logs


async def test_the_log_is_uvicorns_and_shows_the_query_as_the_application_left_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["query_string"] = b"token=redacted"
        await receive()
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/denied":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body"})
        else:
            await send({"type": "websocket.accept"})

    caplog.set_level(logging.INFO, "uvicorn.error")
    addresses = []
    async with serving(app) as server:
        for path in ("/a%20b", "/refused", "/denied"):
            async with connect(server.port) as client:
                await client.send(request(path + "?token=secret"))
                await client.read_head()
                addresses.append("{}:{}".format(*client.writer.get_extra_info("sockname")))
    assert [record.message for record in caplog.records if "WebSocket" in record.message] == [
        f'{addresses[0]} - "WebSocket /a%20b?token=redacted" [accepted]',
        f'{addresses[1]} - "WebSocket /refused?token=redacted" 403',
        f'{addresses[2]} - "WebSocket /denied?token=redacted" 401',
    ]


@pytest.fixture
async def server() -> AsyncIterator[ProtocolServer]:
    async with serving(Application(until_disconnect)) as server:
        yield server


async def test_the_websockets_client_agrees(server: ProtocolServer) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
        assert client.response is not None
        assert client.response.headers.get("Sec-WebSocket-Extensions") is None
        async with asyncio.timeout(PATIENCE):
            await (await client.ping())
    assert client.close_code == 1000
