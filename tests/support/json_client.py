"""Clients of JSON WebSockets: Python's `websockets`; and in Node.js, plain WebSockets and the package's own client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import websockets

from tests.support.paths import WIRE

PROGRAM = WIRE / "json_client.mjs"
PATIENCE = 20.0
"""The longest time that a test waits for a frame, in seconds."""

Frame: TypeAlias = dict[str, Any]


class JSONClient:
    """One client. `frames` lists all frames that it received, in order."""

    def __init__(self, write: Callable[[Frame], Awaitable[object]], close: Callable[[], Awaitable[object]]) -> None:
        self.frames: list[Frame] = []
        self.closed: tuple[int | None, str] | None = None
        """The code and the reason with which the connection has ended."""
        self._write = write
        self._close = close
        self.unread: list[Frame] = []
        """Those that were not taken yet."""
        self._changed = asyncio.Condition()

    async def send(self, kind: str, data: Any = None, **fields: Any) -> None:
        """Send a frame."""
        await self._write({"type": kind, **fields} | ({} if data is None else {"data": data}))

    async def close(self) -> None:
        """Close the connection."""
        await self._close()

    async def before(self, kind: str) -> list[Frame]:
        """Take the frames up to one of this type, which must come. Returns those before it."""

        def place() -> int | None:
            return next((number for number, frame in enumerate(self.unread) if frame["type"] == kind), None)

        await self._until(lambda: place() is not None, kind)
        end = place()
        assert end is not None
        frames = self.unread[:end]
        del self.unread[: end + 1]
        return frames

    async def take(self, where: Callable[[Frame], bool], what: str = "a frame") -> Frame:
        """Take the first frame that was not taken yet and for which `where` is true. The others stay in their order."""

        def find() -> Frame | None:
            return next(filter(where, self.unread), None)

        await self._until(lambda: find() is not None, what)
        frame = find()
        assert frame is not None
        self.unread.remove(frame)
        return frame

    async def expect(self, kind: str) -> Any:
        """Take the next frame of this type, and leave the others. Returns its `data`, or the frame if it has none."""
        frame = await self.take(lambda frame: frame["type"] == kind, kind)
        return frame.get("data", frame)

    async def end(self) -> tuple[int | None, str]:
        """Wait until the connection has ended. Returns the code and the reason."""
        await self._until(lambda: self.closed is not None, "the end")
        assert self.closed is not None
        return self.closed

    async def _until(self, holds: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise TimeoutError(f"{what} did not come in {PATIENCE} s: {self.unread}, {self.closed}") from None

    async def received(self, frame: Frame) -> None:
        async with self._changed:
            self.frames.append(frame)
            self.unread.append(frame)
            self._changed.notify_all()

    async def ended(self, code: int | None, reason: str) -> None:
        async with self._changed:
            self.closed = code, reason
            self._changed.notify_all()


class JSONClients:
    """Opens clients. All are closed when the block ends."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process
        self._of_node: dict[int, JSONClient] = {}
        self._opened: dict[int, asyncio.Future[None]] = {}

    async def python(self, url: str) -> JSONClient:
        """Open a WebSocket of Python's library `websockets`."""
        socket = await websockets.connect(url, compression=None, ping_interval=None)

        async def write(frame: Frame) -> None:
            await socket.send(json.dumps(frame))

        client = JSONClient(write, socket.close)

        async def read() -> None:
            with contextlib.suppress(websockets.ConnectionClosed):
                async for text in socket:
                    await client.received(json.loads(text))
            await client.ended(socket.close_code, socket.close_reason or "")

        self._end_with(asyncio.create_task(read(), name="reader of a WebSocket"), socket.close)
        return client

    async def node(self, url: str) -> JSONClient:
        """Open a WebSocket of Node."""
        return await self._of_program("open", url=url)

    async def follower(self, url: str, token: str) -> JSONClient:
        """Open the package's own client for jobs. Its `send` takes `join_job` and `leave_job`."""
        return await self._of_program("follow", url=url, token=token)

    async def _of_program(self, command: str, **arguments: str) -> JSONClient:
        number = next(self._numbers)
        client = self._of_node[number] = JSONClient(
            lambda frame: self._command("send", number, frame=frame), lambda: self._command("close", number)
        )
        opened = self._opened[number] = asyncio.get_running_loop().create_future()
        await self._command(command, number, **arguments)
        async with asyncio.timeout(PATIENCE):
            await opened
        return client

    async def _command(self, command: str, number: int, **arguments: Any) -> None:
        assert self._process.stdin is not None
        line = {"command": command, "client": number, **arguments}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = json.loads(text)
            client, opened = self._of_node[line["client"]], self._opened[line["client"]]
            match line["signal"]:
                case "open":
                    opened.set_result(None)
                case "frame":
                    await client.received(line["frame"])
                case "close":
                    await client.ended(line["code"], line["reason"])
                    if not opened.done():
                        opened.set_exception(ConnectionError(f"closed with {client.closed}"))

    async def __aenter__(self) -> JSONClients:
        self._process = await asyncio.create_subprocess_exec(
            "node", str(PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26
        )
        self._end_with(asyncio.create_task(self._listen(), name="reader of the Node process"), self._end_process)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _end_process(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    def _end_with(self, reading: asyncio.Task[None], end: Callable[[], Awaitable[object]]) -> None:
        """Call `end` when the block ends, and then wait for the reader, which ends after that."""
        self._stack.push_async_callback(asyncio.gather, reading)
        self._stack.push_async_callback(end)
