"""What is measured of a process as a whole: its tasks, and the bytes that wait for its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import OUTBOX_BYTES, TASKS
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.runtime.tasks import Tasks

_SHARE: Final = 0.001
"""The share of the time in which the outboxes are added up. With many clients the sum is made less often."""


class HeldBytes:
    """The bytes in all outboxes. Nothing counts them when they change: that would be a cost for each recipient."""

    def __init__(self, outboxes: Callable[[], Iterable[Outbox]], clock: Callable[[], float] = monotonic) -> None:
        self._outboxes = outboxes
        self._clock = clock
        self._sum = 0
        self._next = 0.0

    def read(self) -> int:
        """The sum, or the last one if it is too early for another."""
        began = self._clock()
        if began >= self._next:
            self._sum = sum([outbox.size for outbox in self._outboxes()])
            ended = self._clock()
            self._next = ended + (ended - began) / _SHARE
        return self._sum


def measure_process(meter: Meter, tasks: Tasks, outboxes: Callable[[], Iterable[Outbox]]) -> None:
    """Declare the gauges of a process."""
    meter.gauge(TASKS, lambda: len(tasks))
    meter.gauge(OUTBOX_BYTES, HeldBytes(outboxes).read)
