"""Measures how much a process has to do, when the web console asks. Nothing is measured in between."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, process_time
from typing import Final

from asgi_realtime.lifecycle.process_metrics import HeldBytes
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.inspections import Load

_PROBE_SECONDS: Final = 0.1
"""Seconds after a question until the lag of the loop is measured. The next answer has the result."""
_STATM: Final = Path("/proc/self/statm")


class LoadMeter:
    """Reads the load of this process."""

    def __init__(self, tasks: Tasks, outboxes: Callable[[], Iterable[Outbox]]) -> None:
        self._tasks = tasks
        self._waiting = HeldBytes(outboxes)
        self._since = monotonic()
        self._version: str | None = None
        self._lag: float | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def read(self) -> Load:
        """The load now. Called on the event loop."""
        if self._version is None:
            self._version = _version()
        self._probe_lag()
        return Load(
            version=self._version,
            host=socket.gethostname(),
            pid=os.getpid(),
            uptime=monotonic() - self._since,
            cpu=process_time(),
            memory=_memory(),
            lag=self._lag,
            tasks=len(self._tasks),
            waiting=self._waiting.read(),
        )

    def _probe_lag(self) -> None:
        loop = asyncio.get_running_loop()
        if self._probe is None or self._loop is not loop:
            self._loop = loop
            self._probe = loop.call_later(_PROBE_SECONDS, self._measure_lag)

    def _measure_lag(self) -> None:
        assert self._probe is not None and self._loop is not None
        self._lag = max(0.0, self._loop.time() - self._probe.when())
        self._probe = None


def _version() -> str:
    try:
        return version("asgi_realtime")
    except PackageNotFoundError:  # its source is used without an installation
        return "unknown"


def _memory() -> int | None:
    """Resident memory in bytes. None: the system does not have `/proc`."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
