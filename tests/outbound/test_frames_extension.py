"""The scope extension of the uvicorn protocol class: frames written and read without ASGI events."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from asgi_realtime.outbound.frames_extension import EXTENSION, FrameTransport
from asgi_realtime.protocols.rfc6455 import encode
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.certificates import tls_contexts
from tests.support.client_frames import BINARY, CLOSE, PONG, TEXT, close, frame, text
from tests.support.protocol_server import ProtocolServer, protocol_server
from tests.support.raw_websocket import open_websocket
from tests.support.waiting import until


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"debug": not request.param, "use_uvloop": request.param}


class Reader:
    """Takes over a WebSocket and records what arrives."""

    def __init__(self, transport: FrameTransport) -> None:
        self.transport = transport
        self.messages: list[str | bytes] = []
        self.ends: list[tuple[int, str]] = []
        self.on_message: Callable[[str | bytes], None] = lambda message: None

    def detach(self) -> None:
        self.transport.detach(self)

    def received(self, message: str | bytes) -> None:
        assert not self.ends
        self.messages.append(message)
        self.on_message(message)

    def websocket_closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))


class WriteListener:
    """Records the notifications that it gets."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


class Detaching:
    """An application that detaches every WebSocket and returns."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self.returned = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        reader = Reader(scope["extensions"][EXTENSION])
        reader.detach()
        self.readers.append(reader)
        self.returned += 1

    async def reader(self) -> Reader:
        """The reader of the first client, once the coroutine has returned."""
        await until(lambda: self.returned)
        return self.readers[0]


@pytest.fixture
def app() -> Detaching:
    return Detaching()


@pytest.fixture
async def server(app: Detaching) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(app, lifespan="off") as server:
        yield server


async def test_a_detached_websocket_outlives_its_coroutine(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        await until(lambda: not server.server_state.tasks)
        await client.send(text("a") + frame(BINARY, b"b"))
        await until(lambda: len(reader.messages) == 2)
        assert reader.messages == ["a", b"b"]
        reader.transport.write(encode("c") + encode(b"d"))
        assert [await client.next(), await client.next()] == [(TEXT, b"c"), (BINARY, b"d")]
        reader.transport.close(4000, "bye")
        assert await client.rest() == [(CLOSE, (4000).to_bytes(2) + b"bye")]
        await until(lambda: reader.ends)
    assert reader.ends == [(4000, "bye")]


async def test_no_object_of_the_handshake_is_kept() -> None:
    class Kept:
        """An item of the scope. A weak reference to it shows when the scope is freed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["kept"] = kept = Kept()
        references.append(weakref.ref(kept))
        await receive()
        await send({"type": "websocket.accept"})
        reader = Reader(scope["extensions"][EXTENSION])
        reader.detach()
        readers.append(reader)

    references: list[weakref.ref[Kept]] = []
    readers: list[Reader] = []
    gc.collect()
    gc.disable()
    try:
        async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
            await client.reached()
            await until(lambda: not server.server_state.tasks)
            await until(lambda: references[0]() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (close(4001, b"why"), (4001, "why")),
        (close(), (1005, "")),
        (frame(TEXT, b"\xff"), (1007, "text that is not UTF-8")),
        (frame(3), (1002, "an unknown opcode")),
        (None, (1006, "")),
    ],
)
async def test_the_end_of_a_websocket_is_reported_once(
    server: ProtocolServer, app: Detaching, last: bytes | None, end: tuple[int, str]
) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        await client.send(text("a") + (last or b""))
        await until(lambda: reader.messages)
        if last is None:
            client.vanish()
        await until(lambda: reader.ends)
        reader.transport.close(1000)
        reader.transport.abort()
    await until(lambda: not server.server_state.connections)
    assert (reader.messages, reader.ends) == (["a"], [end])


async def test_an_abort_is_reported_as_the_end_of_the_websocket(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        reader.transport.abort()
        assert not reader.ends, "not during the call"
        assert await client.rest() == []
        await until(lambda: reader.ends)
    assert reader.ends == [(1006, "")]


async def test_the_stop_of_the_server_is_announced(app: Detaching) -> None:
    async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
        reader = await app.reader()
        server.stopping.set()
        assert await client.rest() == [(CLOSE, (1012).to_bytes(2))]
        assert reader.ends == [(1012, "")]


async def test_writing_never_raises(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        client.vanish()
        while not reader.ends:
            reader.transport.write(encode("x" * 10_000))
            await asyncio.sleep(0)
        reader.transport.write(encode("forgotten"))
        reader.transport.pause()
        reader.transport.resume()
        reader.transport.close(1000)
        reader.transport.abort()
        assert reader.transport.buffered == 0


async def test_before_accept_writes_are_dropped_and_detaching_raises() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        transport: FrameTransport = scope["extensions"][EXTENSION]
        transport.write(encode("too early"))
        with pytest.raises(RuntimeError):
            Reader(transport).detach()
        await receive()
        await send({"type": "websocket.accept"})
        Reader(transport).detach()
        with pytest.raises(RuntimeError):
            Reader(transport).detach()
        with pytest.raises(RuntimeError, match="detached"):
            await receive()
        with pytest.raises(ValueError, match="1005|70"):
            transport.close(70)
        transport.write(encode("done"))
        transport.close(1000)

    async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
        assert await client.rest() == [(TEXT, b"done"), (CLOSE, (1000).to_bytes(2))]


async def test_frames_and_sends_keep_their_order() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        transport: FrameTransport = scope["extensions"][EXTENSION]
        for number in range(0, 300, 3):
            await send({"type": "websocket.send", "text": str(number)})
            transport.write(encode(str(number + 1)) + encode(str(number + 2)))
        await send({"type": "websocket.close"})

    async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
        expected = [(TEXT, str(number).encode()) for number in range(300)]
        assert await client.rest() == [*expected, (CLOSE, (1000).to_bytes(2))]


async def test_the_extension_reaches_through_middleware() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        reader = Reader(websocket.scope["extensions"][EXTENSION])
        reader.on_message = lambda message: reader.transport.write(encode(message))
        reader.detach()

    app = Starlette(routes=[WebSocketRoute("/", endpoint)], middleware=[Middleware(CORSMiddleware, allow_origins="*")])
    async with protocol_server(app) as server, open_websocket(server.port) as client:
        await client.send(text("a") + close(1000))
        assert await client.rest() == [(TEXT, b"a"), (CLOSE, (1000).to_bytes(2))]


# Reading


async def test_received_data_is_handed_over_when_detaching() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/read":
            assert (await receive())["text"] == "a"
        await proceed.wait()
        reader = Reader(scope["extensions"][EXTENSION])
        reader.detach()
        readers.append(reader)

    proceed = asyncio.Event()
    readers: list[Reader] = []
    async with protocol_server(app, lifespan="off") as server:
        for path, messages in (("/", ["a", "b", "c"]), ("/read", ["b", "c"])):
            async with open_websocket(server.port, path) as client:
                await client.send(text("a") + text("b") + text("c") + close(4000))
                await asyncio.wait([asyncio.ensure_future(client.next())], timeout=0.05)
                proceed.set()
                await until(lambda: readers and readers[-1].ends)
            proceed.clear()
            reader = readers.pop()
            assert (reader.messages, reader.ends) == (messages, [(4000, "")])


async def test_an_end_before_detaching_is_reported() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await until(lambda: not scope["extensions"][EXTENSION].is_open)
        reader = Reader(scope["extensions"][EXTENSION])
        reader.detach()
        readers.append(reader)

    readers: list[Reader] = []
    async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
        await client.send(close(4000))
        await until(lambda: readers and readers[0].ends)
    assert readers[0].ends == [(4000, "")]


async def test_a_paused_reader_gets_nothing_and_then_everything_in_order(
    server: ProtocolServer, app: Detaching
) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        reader.on_message = lambda message: reader.transport.pause()
        expected = [str(number) for number in range(200)]
        for number in range(0, 200, 20):
            await client.send(b"".join(map(text, expected[number : number + 20])))
        await client.send(close(4000))
        while len(reader.messages) < 200:
            await until(lambda: reader.messages)
            assert not reader.ends
            count = len(reader.messages)
            reader.transport.resume()
            await until(lambda: len(reader.messages) == count + 1)  # noqa: B023
        reader.transport.resume()
        await until(lambda: reader.ends)
    assert (reader.messages, reader.ends) == (expected, [(4000, "")])


async def test_messages_of_a_client_that_vanishes_are_still_handled(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        reader.on_message = lambda message: reader.transport.pause()
        await client.send(text("a") + text("b"))
        await until(lambda: reader.messages)
        client.writer.close()
        await until(lambda: not server.server_state.connections)
        assert (reader.messages, reader.ends) == (["a"], [])
        reader.transport.resume()
        assert (reader.messages, reader.ends) == (["a", "b"], [])
        reader.transport.resume()
        assert reader.ends == [(1006, "")]


async def test_a_paused_client_is_held_back(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        reader.transport.pause()
        client.writer.transport.set_write_buffer_limits(high=0)
        message = frame(BINARY, b"x" * 100_000)
        written = 0
        while written < 1000:
            client.writer.write(message)
            written += 1
            try:
                async with asyncio.timeout(0.3):
                    await client.writer.drain()
            except TimeoutError:
                break
        assert written < 300
        reader.transport.resume()
        await until(lambda: len(reader.messages) == written)


async def test_closing_while_paused_receives_the_answer(app: Detaching) -> None:
    # This test must not wait for the timeout of the missing answer, which is ten seconds.
    async with protocol_server(app, lifespan="off", protocol=WebSocketProtocol) as server:
        async with open_websocket(server.port) as client:
            reader = await app.reader()
            reader.on_message = lambda message: reader.transport.pause()
            for message in ("a", "b", "c"):
                await client.send(text(message))
            await until(lambda: reader.messages)
            reader.transport.close(4000)
            assert await client.rest() == [(CLOSE, (4000).to_bytes(2))]
            await until(lambda: reader.ends)
            assert (reader.messages, reader.ends) == (["a"], [(4000, "")])


async def test_pings_are_answered_while_messages_come(server: ProtocolServer) -> None:
    async with open_websocket(server.port) as client:
        await client.send(text("a") + frame(9, b"1") + text("b") + frame(9, b"2"))
        assert [await client.next(), await client.next()] == [(PONG, b"1"), (PONG, b"2")]


async def test_a_reader_that_raises_ends_its_websocket(
    server: ProtocolServer, app: Detaching, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()

        def fail(message: str | bytes) -> None:
            raise ValueError("a bug")

        reader.on_message = fail
        await client.send(text("a") + text("b"))
        assert await client.rest() == [(CLOSE, (1011).to_bytes(2))]
        assert (reader.messages, reader.ends) == (["a"], [(1011, "")])
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a bug"]


async def test_an_application_that_fails_after_detaching_ends_its_websocket() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        readers.append(Reader(scope["extensions"][EXTENSION]))
        readers[0].detach()
        raise ValueError("a bug")

    readers: list[Reader] = []
    async with protocol_server(app, lifespan="off") as server, open_websocket(server.port) as client:
        assert await client.rest() == [(CLOSE, (1011).to_bytes(2))]
        await until(lambda: readers[0].ends)


async def test_the_limit_of_a_message_can_be_lowered(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port) as client:
        reader = await app.reader()
        reader.transport.max_message_bytes = 100
        assert reader.transport.max_message_bytes == 100
        await client.send(text("x" * 100) + text("x" * 101))
        assert (await client.rest())[0][1][:2] == (1009).to_bytes(2)
        assert reader.messages == ["x" * 100]
        assert reader.ends == [(1009, "a message of over 100 bytes")]


# Writing


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_buffered_bytes_are_counted_and_their_end_is_reported(
    app: Detaching, secure: bool, tmp_path: Path
) -> None:
    contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None] = tls_contexts(tmp_path) if secure else (None, None)
    async with protocol_server(app, lifespan="off", tls=contexts[0]) as server:
        async with open_websocket(server.port, tls=contexts[1]) as client:
            reader = await app.reader()
            listener = reader.transport.listener = WriteListener()
            assert reader.transport.buffered == 0
            message = encode(b"x" * 100_000)
            count = 0
            while not reader.transport.buffered:
                reader.transport.write(message)
                await asyncio.sleep(0)
                count += 1
            assert listener.calls == ["pause"]
            for _ in range(count):
                assert await client.next() == (BINARY, b"x" * 100_000)
            await until(lambda: listener.calls == ["pause", "resume"])
            assert reader.transport.buffered == 0


async def test_a_stalled_client_is_cut_at_once(server: ProtocolServer, app: Detaching) -> None:
    async with open_websocket(server.port):
        reader = await app.reader()
        while reader.transport.buffered < 1_000_000:
            reader.transport.write(encode(b"x" * 100_000))
        reader.transport.abort()
        await until(lambda: reader.ends)
        assert reader.ends == [(1006, "")]
        assert not server.server_state.connections
