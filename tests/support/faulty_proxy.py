"""A proxy before several servers whose connections break: at random, and in the middle of upgrades."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tests.support.waiting import until

UPGRADE: Final = b"transport=websocket&sid="


class FaultyProxy:
    """A running proxy. It gives each TCP connection to a random server, and to another if that one does not accept.

    Args:
        servers: their URLs. They may be changed.
        seed: of the faults.
    """

    def __init__(self, servers: Sequence[str], seed: int) -> None:
        self.servers = list(servers)
        self.url = ""
        self.broken_upgrades = 0.0
        """How probable it is that a WebSocket breaks that is opened for an upgrade."""
        self.counts: Counter[str] = Counter()
        """`connections`, those that were `dropped`, `upgrades`, and `broken upgrades`."""
        self._random = random.Random(seed)
        self._open: set[_Client | _Server] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def drop(self, fraction: float) -> None:
        """Break a part of the connections at both ends, without a close."""
        for client in [each for each in self._open if isinstance(each, _Client)]:
            if self._random.random() < fraction:
                self.counts["dropped"] += 1
                client.abort()

    async def stop(self) -> None:
        """Break all connections, and wait until they are closed."""
        self.drop(1.0)
        if self._connecting:
            await asyncio.wait(self._connecting)
        for connection in self._open:
            if connection.transport is not None:
                connection.transport.abort()
        await until(lambda: not self._open)

    # For its connections

    def opened(self, client: _Client) -> None:
        """A client has connected."""
        self.counts["connections"] += 1
        self._open.add(client)
        connecting = asyncio.create_task(client.connect())
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def accepted(self, server: _Server) -> None:
        """A server has accepted a connection."""
        self._open.add(server)

    def ended(self, connection: _Client | _Server) -> None:
        """The connection of a client, or to a server, has ended."""
        self._open.discard(connection)

    def chunks_until_break(self, head: bytes) -> int | None:
        """How many pieces of data a connection may pass on that begins with this. None: any number."""
        if UPGRADE not in head.partition(b"\r\n")[0]:
            return None
        self.counts["upgrades"] += 1
        if self._random.random() >= self.broken_upgrades:
            return None
        self.counts["broken upgrades"] += 1
        return self._random.randrange(6)

    def order(self) -> list[str]:
        """The servers in the order in which a connection tries them."""
        return self._random.sample(self.servers, len(self.servers))


class _Client(asyncio.Protocol):
    """The connection of a client."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy = proxy
        self._server: _Server | None = None
        self._early = bytearray()
        self._chunks: int | None = None
        self._begun = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.opened(self)

    async def connect(self) -> None:
        """Connect to a server."""
        for url in self._proxy.order():
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: _Server(self._proxy, self), "127.0.0.1", urlsplit(url).port or 80
                )
                return
            except OSError:
                continue
        self.abort()

    def accepted(self, server: _Server) -> None:
        """A server has accepted the connection."""
        self._server = server
        assert self.transport is not None
        if self.transport.is_closing():
            server.close()
        elif self._early:
            server.transport.write(bytes(self._early))
            self._early.clear()

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._chunks = self._proxy.chunks_until_break(data)
        if not self.counted():
            return
        if self._server is None:
            self._early += data
        else:
            self._server.transport.write(data)

    def counted(self) -> bool:
        """Whether a piece of data may pass. Otherwise the connection breaks here."""
        if self._chunks is None:
            return True
        self._chunks -= 1
        if self._chunks < 0:
            self.abort()
        return self._chunks >= 0

    def abort(self) -> None:
        """Break the connection at both ends."""
        if self.transport is not None:
            self.transport.abort()
        if self._server is not None:
            self._server.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._proxy.ended(self)
        if self._server is not None:
            self._server.close()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None and not self._server.transport.is_closing():
            self._server.transport.resume_reading()


class _Server(asyncio.Protocol):
    """The connection to a server."""

    def __init__(self, proxy: FaultyProxy, client: _Client) -> None:
        self._proxy = proxy
        self._client = client
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.accepted(self)
        self._client.accepted(self)

    def data_received(self, data: bytes) -> None:
        if self._client.transport is not None and self._client.counted():
            self._client.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._proxy.ended(self)
        if self._client.transport is not None:
            self._client.transport.close()

    def close(self) -> None:
        """Write what is left, and close."""
        self.transport.close()


@contextlib.asynccontextmanager
async def faulty_proxy(servers: Sequence[str], seed: int) -> AsyncIterator[FaultyProxy]:
    """Run a proxy before these servers, given by their URLs, until the block ends."""
    proxy = FaultyProxy(servers, seed)
    listening = await asyncio.get_running_loop().create_server(lambda: _Client(proxy), "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.stop()
