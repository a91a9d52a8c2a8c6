"""Replaces parts of an accepted WebSocket of a stock uvicorn by smaller ones.

An idle WebSocket of uvicorn keeps an `asyncio.Queue`, an `asyncio.Event` and the HTTP messages of its handshake. The
queue and the event hold five deques, which take 760 bytes each although they are empty. With what is here, an idle
connection takes 6 KB less, and the garbage collector has fewer objects to look at.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class SmallQueue:
    """What uvicorn uses of an `asyncio.Queue`, for one reader at a time."""

    __slots__ = ("_items", "_waiting")

    def __init__(self) -> None:
        self._items: deque[Any] | None = None
        self._waiting: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._items is None

    def put_nowait(self, item: Any) -> None:
        """Append an item."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def get_nowait(self) -> Any:
        """Remove and return the first item.

        Raises:
            asyncio.QueueEmpty: nothing waits.
        """
        if self._items is None:
            raise asyncio.QueueEmpty
        item = self._items.popleft()
        if not self._items:
            self._items = None
        return item

    async def get(self) -> Any:
        """Wait for an item, remove and return it."""
        while self._items is None:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self.get_nowait()


class SmallEvent:
    """An `asyncio.Event` that is set at first. It makes a real one while it is cleared."""

    __slots__ = ("_cleared",)

    def __init__(self) -> None:
        self._cleared: asyncio.Event | None = None

    def set(self) -> None:
        """End every wait."""
        cleared, self._cleared = self._cleared, None
        if cleared is not None:
            cleared.set()

    def clear(self) -> None:
        """Let `wait` wait."""
        if self._cleared is None:
            self._cleared = asyncio.Event()

    def is_set(self) -> bool:
        """Whether `wait` returns at once."""
        return self._cleared is None

    async def wait(self) -> None:
        """Wait until it is set."""
        while self._cleared is not None:
            await self._cleared.wait()


def shrink(protocol: Any) -> None:
    """Replace the parts of a protocol object whose WebSocket is accepted, if they are of the known types."""
    queue = getattr(protocol, "queue", None)
    if type(queue) is asyncio.Queue:
        protocol.queue = small = SmallQueue()
        while not queue.empty():
            small.put_nowait(queue.get_nowait())
    writable = getattr(protocol, "writable", None)
    if type(writable) is asyncio.Event and writable.is_set():
        protocol.writable = SmallEvent()
    for name in ("request", "response"):
        message = vars(protocol).pop(name, None)
        headers: Any = getattr(message, "headers", None)
        if hasattr(headers, "clear"):
            headers.clear()  # the parser of `websockets` keeps the request as long as its WebSocket
    protocol.__dict__ = dict(vars(protocol))  # a dictionary does not shrink by itself
