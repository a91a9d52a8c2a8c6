"""Signals that the server is about to stop: clients are closed first."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final, TypeAlias

from starlette.types import Send

from asgi_realtime.outbound.stock.hypercorn import hypercorn_stream
from asgi_realtime.runtime.new_task import new_task

logger: Final = logging.getLogger("asgi_realtime")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_Handler: TypeAlias = Callable[[int, FrameType | None], Any]


class ShutdownSignals:
    """Closes clients when the process gets a signal to stop, and then calls the earlier signal handler.

    `close_clients` is called with True for SIGTERM, which supervisors send, else with False.

    Servers end the lifespan only after they have answered every request and closed every WebSocket. But a long-poll is
    a request that waits for the gateway, and some servers close WebSockets without a code. So `close_clients` runs
    first, on the event loop. It must end soon. A second signal forces the shutdown: it is passed on at once, and ends
    the drain. SIGTERM after SIGINT does not force, because a supervisor sends it when Ctrl-C has reached both. Signals
    without a Python handler are not changed. Outside the main thread, no signal is handled.

    Hypercorn's worker processes get no signal. `listen` waits for their end instead. Of several hypercorn servers on
    one event loop, the first that ends closes the clients of all: from Python 3.12 on it would wait for its own.
    """

    def __init__(self, close_clients: Callable[[bool], Awaitable[None]]) -> None:
        self._close_clients = close_clients
        self._before: dict[int, _Handler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first: int | None = None
        self._held: list[tuple[int, FrameType | None]] = []
        self._force: Callable[[], None] | None = None
        self._forced = False
        self._closing: asyncio.Task[None] | None = None
        self._watches: dict[Callable[[], Awaitable[None]], asyncio.Task[None]] = {}

    def install(self) -> None:
        """Listen, on the running event loop."""
        self._loop = self._closing = self._first = self._force = None
        self._watches.clear()
        self._forced = False
        self._held.clear()
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            before = self._find_before(number)
            if callable(before):
                self._before[number] = before
                signal.signal(number, self._on_signal)

    def _find_before(self, number: int) -> object:
        """The handler to pass a signal on to. Those of event loops that ended without `remove` are left out."""
        found: object = signal.getsignal(number)
        while isinstance(owner := getattr(found, "__self__", None), ShutdownSignals) and not owner._listens(self):
            found = owner._before.get(number)
        return found

    def _listens(self, other: ShutdownSignals) -> bool:
        return self is not other and self._loop is not None and self._loop.is_running()

    def drain(self, force: Callable[[], None]) -> None:
        """The drain begins: stop closing clients here, and pass on a signal that is held.

        `force` is called on the event loop for a signal that forces. If there was one already, it is called now.
        """
        self._cancel_closing()
        self._force = force
        if self._forced:
            force()

    def remove(self) -> None:
        """Restore the earlier handlers where the current one is of this object. A signal that is held is passed on."""
        self._cancel_closing()
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, before)
        self._before.clear()
        self._loop = self._force = None

    def _cancel_closing(self) -> None:
        for task in (self._closing, *self._watches.values()):
            if task is not None:
                task.cancel()
        self._closing = None
        self._watches.clear()
        self._pass_on()

    def listen(self, send: Send) -> None:
        """Watch for hypercorn's shutdown through the ASGI `send` of a request. Does nothing on other servers."""
        stopping = None if (stream := hypercorn_stream(send)) is None else stream.stopping
        if stopping is not None and stopping not in self._watches:
            self._watches[stopping] = new_task(self._until(stopping), name="wait for the server's end")

    async def _until(self, stopping: Callable[[], Awaitable[None]]) -> None:
        await stopping()
        await self._run(False)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first, loop = self._first, self._loop
        self._first = first or number
        self._held.append((number, frame))
        running = loop is not None and loop.is_running()
        if loop is not None and running and first is None and self._force is None:
            loop.call_soon_threadsafe(self._begin)
            return
        forces = first is not None and (number == first or number == signal.SIGINT)
        self._forced |= forces
        if loop is not None and running and forces and self._force is not None:
            loop.call_soon_threadsafe(self._force)
        if forces or not running or len(self._held) == 1:  # no other signal is held
            self._pass_on()

    def _begin(self) -> None:
        if self._held and self._closing is None:
            self._closing = new_task(self._run(self._first == signal.SIGTERM), name="end of the clients")

    async def _run(self, supervised: bool) -> None:
        try:
            await self._close_clients(supervised)
        except Exception:
            logger.exception("clients could not be closed before the server stops")
        finally:
            self._closing = None
            self._pass_on()

    def _pass_on(self) -> None:
        held, self._held = self._held, []
        for number, frame in held:
            before = self._before.get(number)
            if before is not None:
                before(number, frame)
