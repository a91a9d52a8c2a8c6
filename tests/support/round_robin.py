"""A proxy that gives each TCP connection to the next server, as a load balancer without sticky sessions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class RoundRobin:
    """A running proxy."""

    def __init__(self, servers: Sequence[str]) -> None:
        self.url = ""
        self.connections: Counter[str] = Counter()
        """How many connections each server was given."""
        self._next = itertools.cycle(servers)
        self._clients: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._stopped = False

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected."""
        client = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def stop(self) -> None:
        """Close all connections, and wait until they are closed."""
        self._stopped = True
        for writer in self._writers:
            writer.transport.abort()
        if self._clients:
            await asyncio.gather(*self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to the next server, until one of them closes."""
        server = next(self._next)
        self.connections[server] += 1
        async with self._closing(writer):
            with contextlib.suppress(OSError):
                await self._pass_on(reader, writer, server)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: str) -> None:
        from_server, to_server = await asyncio.open_connection(urlsplit(server).hostname, urlsplit(server).port)
        async with self._closing(to_server):
            if self._stopped:
                return
            ways = [
                asyncio.create_task(_copy(reader, to_server)),
                asyncio.create_task(_copy(from_server, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    @asynccontextmanager
    async def _closing(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def round_robin(servers: Sequence[str]) -> AsyncIterator[RoundRobin]:
    """Run a proxy before these servers, given by their URLs, until the block ends."""
    proxy = RoundRobin(servers)
    listening = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        # asyncio of Python 3.11 fails if it is closed between the acceptance of a connection and its first step.
        for socket in listening.sockets:
            asyncio.get_running_loop().remove_reader(socket)
        await asyncio.sleep(0)  # what was accepted begins
        listening.close()
        await proxy.stop()
