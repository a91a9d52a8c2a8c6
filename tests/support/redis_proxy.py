"""A proxy between a process and Redis, with which a test can cut, hold and split the stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.support.redis_values import take_values


class RedisProxy:
    """Passes connections on to the Unix socket of a Redis. It listens on a free TCP port of loopback.

    Args:
        socket: the path of the Unix socket.
        rewrite: changes what Redis sends. It is called with each reply and each message, whole and alone, however they
            arrive: Redis sends several at once if it or this process was late.
    """

    def __init__(self, socket: Path, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        self._socket = socket
        self._rewrite = rewrite
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._held_changed = asyncio.Event()
        self.port = 0
        self.refusing = False
        """Whether new connections are closed at once."""
        self.delay = 0.0
        """Seconds that each command and each reply takes longer."""
        self.dropping = False
        """Whether commands do not reach Redis."""
        self.dropped = 0
        """Bytes of commands that were dropped."""
        self.connections = 0
        """How many connections were made and not refused."""
        self.held = bytearray()
        """What Redis has sent since `hold`."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._passing.set()
        self.cut()
        await self._server.wait_closed()

    # Faults

    def cut(self) -> None:
        """Close every connection. New ones are passed on, unless `refusing`."""
        self._passing.set()
        self.held.clear()
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """From now on, hold the bytes of Redis. Commands are still passed on."""
        self._passing.clear()

    async def until_held(self, text: bytes, count: int = 1) -> None:
        """Wait until the held bytes contain a text `count` times."""
        while self.held.count(text) < count:
            self._held_changed.clear()
            await self._held_changed.wait()

    def release(self) -> None:
        """Pass what is held on at once, and hold nothing from now on."""
        data = bytes(self.held)
        for writer in self._to_clients():
            writer.write(data)
        self.held.clear()
        self._passing.set()

    def cut_after(self, size: int) -> None:
        """Pass the first held bytes on, and then close every connection."""
        data = bytes(self.held[:size])
        for writer in self._to_clients():
            writer.write(data)
            writer.close()
        self.held.clear()
        self._passing.set()

    def _to_clients(self) -> list[asyncio.StreamWriter]:
        return [writer for writer in self._writers if writer.get_extra_info("sockname")[1:2] == (self.port,)]

    # Passing on

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.close()
            return
        try:
            from_redis, to_redis = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            writer.close()
            return
        self.connections += 1
        self._writers |= {writer, to_redis}
        passing = [asyncio.ensure_future(self._pass_on(reader, to_redis, commands=True))]
        passing += [asyncio.ensure_future(self._pass_on(from_redis, writer, commands=False))]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in passing:
                each.cancel()
            await asyncio.wait(passing)
            for end in (writer, to_redis):
                self._writers.discard(end)
                end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, commands: bool) -> None:
        incomplete = bytearray()
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not commands and self._rewrite is not None:
                    incomplete += data
                    data = b"".join(map(self._rewrite, take_values(incomplete)))
                    if not data:
                        continue
                if commands and self.dropping:
                    self.dropped += len(data)
                    continue
                if not commands and not self._passing.is_set():
                    self.held += data
                    self._held_changed.set()
                    continue
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def redis_proxy(socket: Path, *, rewrite: Callable[[bytes], bytes] | None = None) -> AsyncIterator[RedisProxy]:
    """A running proxy."""
    proxy = RedisProxy(socket, rewrite)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
