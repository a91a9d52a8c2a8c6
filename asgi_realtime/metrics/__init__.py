"""What a process counts and measures: the declarations, how it is recorded, and how it reaches the host."""

from asgi_realtime.metrics.contract import Metrics
from asgi_realtime.metrics.meter import Meter
from asgi_realtime.metrics.metric import Metric

__all__ = ["Meter", "Metric", "Metrics"]
