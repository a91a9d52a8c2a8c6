"""Spans that a test can read: OpenTelemetry's SDK, with its exporter that keeps them in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from asgi_realtime import OpenTelemetryTracing

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
"""A header that names a span of a client."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A span that has ended."""

    name: str
    kind: str
    trace_id: int
    span_id: int
    parent_id: int | None
    links: Sequence[tuple[int, int]]
    """The ids of trace and span."""
    attributes: Mapping[str, Any]
    status: str
    reason: str | None
    """Why it has failed."""
    exceptions: Sequence[str]
    """The types of the exceptions that were recorded."""
    messages: Sequence[str]
    """Their messages."""

    def is_child_of(self, other: Recorded) -> bool:
        """Whether it was begun in another span, of any process."""
        return (self.trace_id, self.parent_id) == (other.trace_id, other.span_id)

    @property
    def outcome(self) -> tuple[object, ...]:
        """Everything except the ids, which differ for each span."""
        failure = self.status, self.reason, self.exceptions, self.messages
        return self.name, self.kind, self.links, dict(self.attributes), *failure


def recorded(span: ReadableSpan) -> Recorded:
    """What a test compares of a span."""
    assert span.context is not None
    return Recorded(
        name=span.name,
        kind=span.kind.name,
        trace_id=span.context.trace_id,
        span_id=span.context.span_id,
        parent_id=None if span.parent is None else span.parent.span_id,
        links=[(link.context.trace_id, link.context.span_id) for link in span.links],
        attributes=dict(span.attributes or {}),
        status=span.status.status_code.name,
        reason=span.status.description,
        exceptions=[str((event.attributes or {})["exception.type"]) for event in span.events],
        messages=[str((event.attributes or {})["exception.message"]) for event in span.events],
    )


class RecordedSpans:
    """The spans of a process, in the order in which they have ended."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = OpenTelemetryTracing(self.provider)
        self.tracer = self.provider.get_tracer("the host")

    @property
    def all(self) -> list[Recorded]:
        """All that have ended."""
        return [recorded(span) for span in self._exporter.get_finished_spans()]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [span.name for span in self.all]

    def named(self, name: str) -> list[Recorded]:
        """Those with a name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> Recorded:
        """The only one with a name."""
        found = self.named(name)
        assert len(found) == 1, f"{name}: {self.names}"
        return found[0]

    def clear(self) -> None:
        """Forget all."""
        self._exporter.clear()
