"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopThread(Generic[T]):
    """Enters an asynchronous context on an event loop in a thread of its own: `with LoopThread(context) as value`.

    The thread does not keep the process alive. In a process that was forked inside the block there is no such thread,
    and the end of the block does nothing.
    """

    def __init__(self, context: AbstractAsyncContextManager[T], *, name: str) -> None:
        self._context = context
        self._process = os.getpid()
        self._entered: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._left: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> T:
        self._thread.start()
        try:
            return self._entered.result()
        except BaseException:  # also one of this thread, such as KeyboardInterrupt
            self._stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process == os.getpid():
            self._stop()
            self._left.result()

    def _stop(self) -> None:
        loop = self._loop
        if loop is None:  # it has just begun: nothing waits yet
            self._leave.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as error:
            (self._left if self._entered.done() else self._entered).set_exception(error)
        else:
            self._left.set_result(None)

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._context as value:
            self._entered.set_result(value)
            await self._leave.wait()
