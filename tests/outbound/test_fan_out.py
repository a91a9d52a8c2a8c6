"""The fan-out by descriptors: no loss on partial writes, and no byte to another connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import uvloop
from fastapi import FastAPI

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, WebSocketGateway
from asgi_realtime.outbound.fan_out import Sinks, descriptor_of
from asgi_realtime.outbound.gil_backoff import CONTENDED_SECONDS, GilBackoff
from asgi_realtime.outbound.sink import NO_DESCRIPTOR
from asgi_realtime.uvicorn import WebSocketProtocol
from asgi_realtime.values.ids import UserId
from tests.support.certificates import tls_contexts
from tests.support.client_frames import text
from tests.support.new_python import printed_by
from tests.support.raw_websocket import open_websocket
from tests.support.servers import Implementation, Serve
from tests.support.waiting import until

PATIENCE = 10.0
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]

End = Literal["the client closes", "the client resets", "close", "close with bytes held", "abort", "a write fails"]
ENDS: list[End] = ["the client closes", "the client resets", "close", "close with bytes held", "abort", "a write fails"]


class Server(asyncio.Protocol):
    """The server end of a connection. Records whether its descriptor is still its own in `connection_lost`."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.made = asyncio.Event()
        self.lost = asyncio.Event()
        self.held = False
        self.descriptor = NO_DESCRIPTOR
        self._inode = 0
        self.inode_at_the_end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        self.descriptor = descriptor_of(transport)
        if self.descriptor != NO_DESCRIPTOR:
            self._inode = os.fstat(self.descriptor).st_ino
        self.made.set()

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.held = True

    def resume_writing(self) -> None:
        self.held = False

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(OSError):
            self.inode_at_the_end = os.fstat(self.descriptor).st_ino
        self.lost.set()

    @property
    def kept_its_descriptor(self) -> bool:
        return self.inode_at_the_end == self._inode != 0


@contextlib.asynccontextmanager
async def connected(count: int) -> Any:
    """Connections: the ends of the server, and the sockets of the clients."""
    made: list[Server] = []
    loop = asyncio.get_running_loop()

    def protocol() -> Server:
        made.append(Server())
        return made[-1]

    with contextlib.ExitStack() as clients, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        server = await loop.create_server(protocol, sock=listener)
        ends = []
        for number in range(count):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            await until(lambda wanted=number: len(made) > wanted)  # type: ignore[misc]
            await made[number].made.wait()
            ends.append(client)
        yield made, ends
        for each in made:
            each.transport.abort()
        server.close()
        await server.wait_closed()


def run(loop: Callable[[], asyncio.AbstractEventLoop], test: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await test()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(in_time())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ENDS)
def test_a_descriptor_is_valid_until_its_connection_is_lost(
    loop: Callable[[], asyncio.AbstractEventLoop], end: End
) -> None:
    async def test() -> None:
        async with connected(1) as ((server,), (client,)):
            assert server.descriptor != NO_DESCRIPTOR
            if end == "the client closes":
                client.close()
            elif end in ("the client resets", "a write fails"):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if end == "a write fails":
                    server.transport.pause_reading()
                client.close()
                while end == "a write fails" and not server.transport.is_closing():
                    Sinks([server]).write(b"x")
                    await asyncio.sleep(0)  # the reset arrives, and the loop sees a failed write
            elif end == "abort":
                server.transport.abort()
            else:
                while end == "close with bytes held" and not server.held:
                    Sinks([server]).write(b"x" * 8192)
                server.transport.close()
                if end == "close with bytes held":
                    server.transport.abort()
            await server.lost.wait()
            assert server.kept_its_descriptor

    run(loop, test)


@pytest.mark.parametrize("loop", LOOPS)
def test_bytes_the_kernel_does_not_accept_are_buffered_and_sent_in_order(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def test() -> None:
        async with connected(3) as (servers, clients):
            written = [b"", b"", b""]
            number = 0
            while not all(server.held for server in servers):
                ready = [place for place, server in enumerate(servers) if not server.held]
                wire = b"%d;" % number * 30_000  # more than the kernel accepts at once
                Sinks([servers[place] for place in ready]).write(wire)
                for place in ready:
                    written[place] += wire
                number += 1
                clients[0].recv(100) if number == 1 else None  # the buffers of one client are fuller
            for place, client in enumerate(clients):
                got = written[0][:100] if place == 0 else b""
                while len(got) < len(written[place]):
                    got += await asyncio.get_running_loop().sock_recv(client, 65_536)
                assert got == written[place]
            await until(lambda: not any(server.held for server in servers))

    run(loop, test)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_failed_write_does_not_affect_other_recipients(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test() -> None:
        async with connected(3) as (servers, clients):
            clients[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            servers[1].transport.pause_reading()  # otherwise the loop would notice before the write
            clients[1].close()
            for _ in range(3):
                Sinks(servers).write(b"abc")
            for place in (0, 2):
                got = b""
                while len(got) < 9:
                    got += await asyncio.get_running_loop().sock_recv(clients[place], 100)
                assert got == b"abcabcabc"
            await servers[1].lost.wait()

    run(loop, test)


@pytest.mark.parametrize("skipped", [(), (0,), (4,), (1, 2), (4, 0, 3), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("by_descriptor", [True, False])
def test_some_sinks_may_be_skipped(skipped: tuple[int, ...], by_descriptor: bool) -> None:
    with contextlib.ExitStack() as ends:
        pairs = [socket.socketpair() for _ in range(5)]
        sinks = []
        for server_end, client_end in pairs:
            ends.enter_context(server_end)
            ends.enter_context(client_end).setblocking(False)
            sinks.append(BySocket(server_end, by_descriptor))
        together = Sinks(sinks)
        together.write(b"to all")
        together.write(b", to some", [sinks[place] for place in skipped])
        got = [client_end.recv(100) for _, client_end in pairs]
        assert got == [b"to all" if place in skipped else b"to all, to some" for place in range(5)]


class BySocket:
    """A sink that writes to a socket."""

    deflate = False

    def __init__(self, end: socket.socket, by_descriptor: bool) -> None:
        self.descriptor = end.fileno() if by_descriptor else NO_DESCRIPTOR
        self.write = end.sendall


class Slow:
    """A sink that blocks the loop for as long as a busy thread holds the GIL."""

    deflate = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        begun = time.monotonic()
        while time.monotonic() - begun <= CONTENDED_SECONDS:
            pass


@pytest.fixture
def another_thread() -> Iterator[None]:
    """A thread beside the test's own. It does nothing."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("another_thread")
def test_writes_go_through_transports_while_another_thread_holds_the_gil() -> None:
    server_end, client_end = socket.socketpair()
    with server_end, client_end:
        client_end.setblocking(False)
        through_transports: list[bytes] = []

        class Free:
            descriptor = server_end.fileno()
            deflate = False

            def write(self, data: bytes) -> None:
                through_transports.append(data)

        gil_backoff = GilBackoff()
        slow = Slow(10**6)  # an invalid descriptor: the write fails, and the transport is used
        Sinks([slow, *[Free()] * 200], gil_backoff).write(b"b")
        assert slow.written == [b"b"]
        assert client_end.recv(1000) == b"b" * 63, "contention is noticed after 64 writes"
        assert through_transports == [b"b"] * 137
        Sinks([Free()] * 200, gil_backoff).write(b"c")
        assert through_transports[-200:] == [b"c"] * 200, "descriptors are then avoided for a while"


_ALONE = """
import os, time
from asgi_realtime.outbound.fan_out import Sinks
from asgi_realtime.outbound.gil_backoff import CONTENDED_SECONDS

class Slow:
    descriptor, deflate = 10**6, False
    def write(self, data):
        begun = time.monotonic()
        while time.monotonic() - begun <= CONTENDED_SECONDS:
            pass

class Free:
    descriptor, deflate = os.open(os.devnull, os.O_WRONLY), False
    def write(self, data):
        raise SystemExit("written through the transport")

Sinks([Slow()]).write(b"a")
Sinks([Free()]).write(b"b")
"""


def test_a_process_without_another_thread_keeps_writing_to_descriptors() -> None:
    """A write took long because the process had to wait for the processor."""
    assert printed_by(_ALONE) == ""


def test_a_successful_small_fan_out_does_not_reset_the_backoff() -> None:
    server_end, client_end = socket.socketpair()
    with server_end, client_end:

        class Few:
            descriptor = server_end.fileno()
            deflate = False

            def write(self, data: bytes) -> None:
                raise AssertionError("the kernel accepts everything")

        gil_backoff = GilBackoff()
        for _ in range(2):
            gil_backoff.contended(0.0)  # long ago
        Sinks([Few()] * 10, gil_backoff).write(b"a")
        assert client_end.recv(100) == b"a" * 10
        gil_backoff.contended(0.0)
        assert gil_backoff.active(3.9), "the third pause is longer"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_tls_connection_has_no_descriptor(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    at_server, at_client = tls_contexts(tmp_path)

    async def test() -> None:
        protocol = Server()
        server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1", 0, ssl=at_server)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=at_client)
        await protocol.made.wait()
        assert protocol.descriptor == NO_DESCRIPTOR
        writer.close()
        protocol.transport.abort()
        server.close()

    run(loop, test)


class Room(WebSocketGateway):
    """Puts each client into the room."""

    def __init__(self) -> None:
        super().__init__("/room", authenticator=self.accept_all)

    async def accept_all(self, handshake: Handshake) -> Identity:
        return Identity(user_id=UserId(handshake.query["token"]))

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")


class Successors:
    """Takes a descriptor as soon as it is free, and records what is written to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.found: socket.socket | None = None
        """The other end of the socket that has it now."""

    def look(self) -> None:
        """The system returns the lowest free number."""
        while self.found is None:
            pair = socket.socketpair()
            self._pairs.append(pair)
            numbers = [end.fileno() for end in pair]
            if self._descriptor in numbers:
                self.found = pair[1 - numbers.index(self._descriptor)]
                self.found.setblocking(False)
            elif min(numbers) > self._descriptor:
                return

    @property
    def received(self) -> bytes:
        """The bytes written to the descriptor since it was reused."""
        assert self.found is not None
        with contextlib.suppress(BlockingIOError):
            return self.found.recv(65_536)
        return b""

    def close(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.close()


@pytest.mark.parametrize("implementation", ["WebSocketProtocol", "uvicorn", "uvicorn-wsproto"])
@pytest.mark.parametrize("how", ["vanishes", "vanishes unread", "closes", "is ended", "leaves first"])
async def test_a_reused_descriptor_gets_no_bytes_of_its_previous_connection(
    serve: Serve, implementation: Implementation, how: str
) -> None:
    gateway = Room()
    middleware = RealtimeMiddleware(FastAPI(), gateways=[gateway], settings=Settings())
    server = await serve(middleware, implementation)
    broadcaster, rooms = middleware.realtime.broadcaster, middleware.realtime.hub.rooms(gateway.name)

    async def broadcast() -> None:
        # Two rooms with two events each, so that frames wait for the end of the tick.
        for _ in range(2):
            await broadcaster.broadcast_to_room("room", "secret")
            await broadcaster.broadcast_to_all("secret")
            await broadcaster.broadcast_to_user("ann", "secret")

    async with asyncio.timeout(PATIENCE), open_websocket(server.port, "/room?token=bob") as bob:
        assert b"auth_success" in (await bob.next())[1]
        async with open_websocket(server.port, "/room?token=ann") as ann:
            assert b"auth_success" in (await ann.next())[1]
            (connection,) = rooms.of_user(UserId("ann"))
            assert connection.sink is not None
            sink = connection.sink
            successors = Successors(sink.descriptor)
            await broadcast()
            await asyncio.sleep(0)  # the tick ends, and the next broadcast is in another one
            await broadcast()
            if how == "is ended":
                connection.end(1000, "")
            elif how == "leaves first":
                await connection.public.leave("room")
            elif how == "vanishes unread" and isinstance(sink, WebSocketProtocol):
                sink.pause()
                await ann.send(text('{"type":"ping"}'))
                await until(lambda: sink.unread)
            if how != "closes":
                ann.vanish()
        while successors.found is None:
            await broadcast()
            successors.look()
            await asyncio.sleep(0)  # the loop may close the descriptor in this tick
            successors.look()
        for _ in range(10):
            await broadcast()
            await asyncio.sleep(0)  # the frames that wait for the end of the tick are written
        assert successors.received == b""
        if isinstance(sink, WebSocketProtocol):
            sink.resume()
        await until(lambda: len(rooms) == 1)
        successors.close()
        await broadcaster.broadcast_to_user("bob", "end")
        while b'"end"' not in (await bob.next())[1]:
            pass
