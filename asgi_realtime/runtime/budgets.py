"""What one transport may cost beside its events: refused attempts, and frames that carry no event."""

from __future__ import annotations

import math
from typing import Final, Literal

from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Metrics, NullMetrics

_ROUNDING: Final = 1e-3
"""Of one unit. Sums of fractions are not exact; a client at its rate must not be refused for that."""


class Budget:
    """A token bucket that many transports share as a rule. Each transport keeps one float: its `due`.

    `due` is the time when everything drawn so far is paid for. 0.0 means that nothing was drawn, so
    that a transport which draws nothing holds a constant. `math.inf` means that the budget was
    exceeded once: the transport is about to be closed, and every further draw says the same.
    """

    __slots__ = ("_ahead", "_interval", "_kind", "_metrics")

    def __init__(
        self, kind: Literal["attempts", "control"], rate: float, burst: float, metrics: Metrics | None = None
    ) -> None:
        """Make a rule: `burst` units at once, then `rate` units a second. `kind` is the label in the metrics."""
        self._interval = 1.0 / rate
        self._ahead = (burst - 1 + _ROUNDING) * self._interval
        self._kind = kind
        self._metrics = NullMetrics() if metrics is None else metrics

    def draw(self, due: float, now: float) -> float:
        """Draw one unit at the time `now` (seconds, monotonic). Returns the new `due`.

        `math.inf`: over the budget. The first time, that is counted as `over_budget_total`.
        """
        if due < now:
            due = now
        elif due - now > self._ahead:
            if due != math.inf:
                self._metrics.count("over_budget_total", budget=self._kind)
            return math.inf
        return due + self._interval


class Budgets:
    """The two rules that every transport under the same limits has."""

    __slots__ = ("attempts", "control")

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.attempts = Budget("attempts", limits.attempt_rate, limits.attempt_burst, metrics)
        self.control = Budget("control", limits.control_rate, limits.control_burst, metrics)
