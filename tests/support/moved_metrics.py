"""Which tests see a metric move."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeAlias

from asgi_realtime.metrics import Metric

P = ParamSpec("P")
Test: TypeAlias = Callable[P, Awaitable[None]]

MOVING: set[str] = set()
"""The names of the metrics that a test sees move. They are added when its module is imported."""

moved_now: ContextVar[set[str]] = ContextVar("moved_now")
"""The names of the metrics that have moved in the present test."""


def moves(*metrics: Metric) -> Callable[[Test[P]], Test[P]]:
    """Mark a test that causes the event of each of these metrics.

    The test fails unless each of them has moved in what it has read from its `RecordedMetrics`: a counter has grown, a
    gauge has another value than at first, a histogram has got an observation.
    """

    def mark(test: Test[P]) -> Test[P]:
        assert test.__name__.startswith("test_")
        names = {metric.name for metric in metrics}
        MOVING.update(names)

        @functools.wraps(test)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            moved: set[str] = set()
            token = moved_now.set(moved)
            try:
                await test(*args, **kwargs)
            finally:
                moved_now.reset(token)
            assert names <= moved, f"these did not move: {names - moved}"

        return checked

    return mark
