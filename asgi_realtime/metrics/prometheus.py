"""The metrics of a process for Prometheus, by `prometheus_client`. Imported only by apps that use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from asgi_realtime.metrics.metric import Metric

try:
    import prometheus_client
except ImportError as error:
    raise ImportError("PrometheusMetrics needs prometheus-client: pip install 'asgi_realtime[metrics]'") from error
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

M = TypeVar("M", bound=MetricWrapperBase)

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


class PrometheusMetrics:
    """`metrics=PrometheusMetrics()` keeps the metrics in a registry of `prometheus_client`.

    Args:
        registry: where they are registered. None: the default one of `prometheus_client`, where an app has its own
            metrics. A registry takes one `PrometheusMetrics`.
        prefix: what each name begins with, before a `_`.

    Raises:
        ImportError: without the extra `metrics`.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, prefix: str = "realtime") -> None:
        self.registry = prometheus_client.REGISTRY if registry is None else registry
        """Where the metrics of this process are registered."""
        self._transfers: list[Callable[[], None]] = []
        self.app = PrometheusApp(self.registry, self._transfers)
        """An ASGI app that returns the metrics: `Route("/metrics", metrics.app)`. It does not ask for a token."""
        self._prefix = prefix
        self._made: dict[str, MetricWrapperBase] = {}

    def attach(self, transfer: Callable[[], None]) -> None:
        """Call `transfer` before each answer of `app`."""
        self._transfers.append(transfer)

    def counter(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        """Return what adds to a counter."""
        return self._child(Counter, metric, labels).inc

    def gauge(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        """Return what sets a gauge. Of several processes, those that live are added up."""
        return self._child(Gauge, metric, labels, multiprocess_mode="livesum").set

    def histogram(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[Sequence[int], float], object]:
        """Return what adds observations to a histogram."""
        return self._child(_Histogram, metric, labels, buckets=metric.buckets).add

    def _child(self, kind: type[M], metric: Metric, labels: Mapping[str, str], **options: Any) -> M:
        made = self._made.get(metric.name)
        if made is None:
            made = self._made[metric.name] = kind(
                f"{self._prefix}_{metric.name}",
                _LINK.sub(r"\1", metric.help),
                list(metric.labels),
                unit=metric.unit,
                registry=self.registry,
                **options,
            )
        assert isinstance(made, kind)
        return made.labels(**labels) if labels else made


class PrometheusApp:
    """An ASGI app that returns the metrics of a registry, or of all processes that share `PROMETHEUS_MULTIPROC_DIR`."""

    def __init__(self, registry: CollectorRegistry, transfers: Sequence[Callable[[], None]]) -> None:
        self._transfers = transfers
        if ValueClass is not MutexValue:  # as `prometheus_client` read the variable when it was imported
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        self._app = prometheus_client.make_asgi_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A WebSocket is refused."""
        if scope["type"] == "websocket":  # which `prometheus_client` answers with an AssertionError
            await WebSocketClose()(scope, receive, send)
            return
        for transfer in self._transfers:
            transfer()
        await self._app(scope, receive, send)


class _Histogram(Histogram):
    """A histogram to which many observations are added in one call. `Histogram` takes them one by one."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add observations: their number in each bucket, and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)
