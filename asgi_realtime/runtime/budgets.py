"""Token buckets for one transport: for attempts, and for frames that carry no event."""

from __future__ import annotations

import math
from typing import Final, Literal

from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import OVER_BUDGET

_ROUNDING: Final = 1e-3
"""Tolerance, in units. Sums of floats are not exact, and a client at exactly its rate must not be refused."""


class Budget:
    """The parameters of a token bucket that many transports use. The state of each transport is one float.

    That float, `refilled_at`, is the time when the transport's bucket is full again. 0.0 means that nothing was
    consumed. `math.inf` means that the budget was exceeded: the transport is about to be closed, and every further
    call returns `math.inf` too.
    """

    __slots__ = ("_tolerance", "_interval", "_over")

    def __init__(
        self, kind: Literal["attempts", "control"], rate: float, burst: float, meter: Meter | None = None
    ) -> None:
        """Allow `burst` units at once, and `rate` units per second on average. `kind` is the label in the metrics."""
        self._interval = 1.0 / rate
        self._tolerance = (burst - 1 + _ROUNDING) * self._interval
        self._over = (meter or Meter()).counter(OVER_BUDGET, budget=kind)

    def consume(self, refilled_at: float, now: float) -> float:
        """Consume one unit at the time `now` (seconds, monotonic). Returns the new `refilled_at`.

        `math.inf`: the budget is exceeded. The first time, `over_budget_total` is counted.
        """
        if refilled_at < now:
            refilled_at = now
        elif refilled_at - now > self._tolerance:
            if refilled_at != math.inf:
                self._over.value += 1
            return math.inf
        return refilled_at + self._interval


class Budgets:
    """The two budgets of every transport that has the same limits."""

    __slots__ = ("attempts", "control")

    def __init__(self, limits: Limits, meter: Meter) -> None:
        self.attempts = Budget("attempts", limits.attempt_rate, limits.attempt_burst, meter)
        self.control = Budget("control", limits.control_rate, limits.control_burst, meter)
