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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to the next server, until one of them closes."""
        server = next(self._next)
        self.connections[server] += 1
        to_server = await asyncio.open_connection(urlsplit(server).hostname, urlsplit(server).port)
        ways = [
            asyncio.create_task(_copy(reader, to_server[1])),
            asyncio.create_task(_copy(to_server[0], writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, to_server[1]):
            each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def round_robin(servers: Sequence[str]) -> AsyncIterator[RoundRobin]:
    """Run a proxy before these servers, given by their URLs, until the block ends."""
    proxy = RoundRobin(servers)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        # asyncio of Python 3.11 fails if it is closed between the acceptance of a connection and its first step.
        for socket in listening.sockets:
            asyncio.get_running_loop().remove_reader(socket)
        await asyncio.sleep(0)  # what was accepted begins
        listening.close()
