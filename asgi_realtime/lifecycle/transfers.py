"""Passes the metrics of a process on to the host, once a second."""

from __future__ import annotations

import asyncio
from typing import Final

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import LOOP_LAG_SECONDS

TRANSFER_SECONDS: Final = 1.0
"""Seconds between two transfers: the greatest age of the values that the host has."""


class Transfers:
    """Transfers the values of a meter while the process serves, and a last time when it stops."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._timer: asyncio.TimerHandle | None = None
        self._lag = meter.histogram(LOOP_LAG_SECONDS)

    def start(self) -> None:
        """Begin on the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(TRANSFER_SECONDS, self._transfer)

    def stop(self) -> None:
        """Transfer what has changed since, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._meter.transfer()

    def _transfer(self) -> None:
        if self._timer is not None:
            self._lag.observe(asyncio.get_running_loop().time() - self._timer.when())
        self.start()  # first, because metrics of a host may raise although they must not
        self._meter.transfer()
