"""The first steps of shutdown: new clients go elsewhere, clients are closed, and handlers finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_realtime.lifecycle.shutdown_signals import ShutdownSignals
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import DRAIN_TIMEOUTS
from asgi_realtime.outbound.frame_writer import FLUSH_SECONDS
from asgi_realtime.runtime.tasks import Tasks

logger = logging.getLogger("asgi_realtime")


class Drain:
    """Closes the clients, lets queued frames reach them, and waits for handlers, for a limited time."""

    def __init__(
        self,
        announce: Callable[[], None],
        stop_clients: Callable[[float], Awaitable[Any]],
        close_clients: Callable[[], Awaitable[Any]],
        *,
        tasks: Tasks,
        delay: float,
        timeout: float,
        meter: Meter,
    ) -> None:
        """Prepare a drain.

        Args:
            announce: says that the process is not ready any more, before anything is closed.
            stop_clients: refuses new clients, and closes all that are there within some seconds.
            close_clients: closes those that are left, and returns when all have gone.
            tasks: handlers and hooks.
            delay: `MEW_SHUTDOWN_DELAY`.
            timeout: `MEW_DRAIN_TIMEOUT`. Half of it is for `stop_clients`.
            meter: counts timeouts.
        """
        self._announce = announce
        self._stop_clients = stop_clients
        self._close_clients = close_clients
        self._tasks = tasks
        self._delay = delay
        self._timeout = timeout
        self._timeouts = meter.counter(DRAIN_TIMEOUTS)

    async def close_clients(self, supervised: bool) -> None:
        """Close the clients after a signal, while the app still runs, before the server closes them itself.

        `supervised`: the signal comes from a supervisor and not from a keyboard. Then a load balancer gets
        `MEW_SHUTDOWN_DELAY` to send new clients elsewhere. All clients are served until it has passed.
        """
        self._announce()
        if supervised and self._delay:
            await asyncio.sleep(self._delay)
        await self._stop_clients(self._timeout / 2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(FLUSH_SECONDS, self._timeout)):
                await self._close_clients()

    async def run(self, signals: ShutdownSignals) -> None:
        """Close the clients and wait for the handlers. A signal that forces ends the wait."""
        try:
            async with asyncio.timeout(self._timeout) as timeout:
                self._announce()
                signals.drain(lambda: _expire(timeout))
                await self._stop_clients(self._timeout / 2)
                await self._close_clients()
                await self._tasks.until_idle()  # `on_disconnect` of the host is among them
        except TimeoutError:
            self._timeouts.value += 1
            logger.warning(
                "handlers that still run are cancelled: MEW_DRAIN_TIMEOUT (%g s) has passed, or a second signal came",
                self._timeout,
            )


def _expire(timeout: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # it has ended already
        timeout.reschedule(0)
