"""The declaration of one metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Literal

OTHER: Final = "other"
"""The value of a label for everything that is not declared."""
BY_THE_APP: Final = ()
"""The values of a label that the app declares: the names of its gateways, or of its events."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Metric:
    """A metric: its name, its labels, and what it means. All that exist are in `asgi_realtime.metrics.declarations`."""

    name: str
    """Without a prefix. The name of a counter ends with `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    """One or more sentences, in Markdown."""
    unit: Literal["", "seconds", "bytes"] = ""
    """The unit of its values. Empty: a number of things."""
    labels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """The names of its labels, and the values of each. Empty: values that the app declares."""
    buckets: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its buckets, ascending, in its unit. A last bucket has no bound."""
