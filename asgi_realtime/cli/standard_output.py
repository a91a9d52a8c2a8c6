"""The standard output of a command that goes on until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class StandardOutput:
    """Writes in threads, because a terminal or a pipe may stop reading at any time. The event loop continues.

    Args:
        closed: called when a pipe is closed by the program that reads it, even if nothing is written.
    """

    def __init__(self, closed: Callable[[], None]) -> None:
        self._descriptor = sys.stdout.fileno()
        self._when_closed = closed
        self._watched = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
        self.closed = False
        """Whether nothing reads it any longer."""

    def __enter__(self) -> Self:
        if self._watched:
            # The writing end of a pipe is never readable. The selector reports it when the reading end is closed.
            asyncio.get_running_loop().add_reader(self._descriptor, self._close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _close(self) -> None:
        self.closed = True
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._when_closed()

    async def write(self, text: str) -> None:
        """Write a text, and return when it is written or the output is closed.

        Raises:
            OSError: it cannot be written, because a disk is full, for example.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def settle(error: OSError | None) -> None:
            if written.done():
                return  # the command is about to end
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

        def work() -> None:
            error: OSError | None = None
            try:
                _write(self._descriptor, text.encode())
            except OSError as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the command has ended
                loop.call_soon_threadsafe(settle, error)

        # A daemon: Ctrl-C ends the command although a write does not return.
        threading.Thread(target=work, name="standard output", daemon=True).start()
        try:
            await written
        except BrokenPipeError:
            self.closed = True


def _write(descriptor: int, data: bytes) -> None:
    # Without a buffer, whose lock would be held while nothing is read: Python could not end then.
    with open(descriptor, "wb", buffering=0, closefd=False) as output:
        rest = memoryview(data)
        while rest:
            written = output.write(rest)
            if written is None:  # another program has made the terminal non-blocking
                select.select([], [descriptor], [])
            else:
                rest = rest[written:]
