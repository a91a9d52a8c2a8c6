"""Spans by OpenTelemetry. Imported only by apps that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Token
from typing import Final

try:
    from opentelemetry import trace
except ImportError as error:
    raise ImportError("OpenTelemetryTracing needs opentelemetry-api: pip install 'asgi_realtime[tracing]'") from error
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    TraceState,
    set_span_in_context,
)

from asgi_realtime.tracing.attributes import ERROR_TYPE, SYSTEM_NAME
from asgi_realtime.tracing.contract import Attributes, TracingSpan
from asgi_realtime.tracing.trace_context import TraceContext, bounded_state, from_headers

_EMPTY: Final = Context()
"""Has no span. A client's event begins with it, because what is current then depends on the server."""


class OpenTelemetryTracing:
    """`tracing=OpenTelemetryTracing()` makes spans of events and broadcasts with OpenTelemetry's API.

    Args:
        tracer_provider: makes the tracer. None: the global one, also if it is set later.

    Raises:
        ImportError: without the extra `tracing`.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(SYSTEM_NAME, tracer_provider=tracer_provider)

    def link(self, headers: Mapping[str, str]) -> Sequence[Link] | None:
        """A link to the current span, which an instrumentation of your app has made, else to the client's."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            found = from_headers(headers)
            if found is None:
                return None
            context = _span_context(found)
        return (Link(context),)

    def event(self, name: str, attributes: Attributes, link: Sequence[Link] | None) -> TracingSpan:
        """Begin the span of a client's event: the first of a new trace, and current until it ends."""
        span = self._tracer.start_span(name, _EMPTY, SpanKind.CONSUMER, attributes, link)
        return _CurrentSpan(span)

    def publish(self, name: str, attributes: Attributes) -> TracingSpan:
        """Begin the span of a broadcast or a command, as a child of the current span."""
        return OpenTelemetrySpan(self._tracer.start_span(name, None, SpanKind.PRODUCER, attributes))

    def deliver(self, name: str, attributes: Attributes, parent: TraceContext) -> TracingSpan:
        """Begin the span of the delivery of a broadcast, as a child of the span of its publication."""
        context = set_span_in_context(NonRecordingSpan(_span_context(parent)), _EMPTY)
        return OpenTelemetrySpan(self._tracer.start_span(name, context, SpanKind.CONSUMER, attributes))


class OpenTelemetrySpan:
    """A span of OpenTelemetry. See `TracingSpan`."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def context(self) -> TraceContext | None:
        """What processes get that continue it. None: it is not sampled."""
        found = self._span.get_span_context()
        if not found.trace_flags.sampled:
            return None
        state = bounded_state(found.trace_state.to_header()) if found.trace_state else ""
        return TraceContext(found.trace_id, found.span_id, int(found.trace_flags), state)

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def refuse(self, code: str) -> None:
        """It ends with a refusal that has this code."""
        if self._span.is_recording():
            self._span.set_attribute(ERROR_TYPE.name, code)
            self._span.set_status(Status(StatusCode.ERROR, code))

    def fail(self, error: BaseException) -> None:
        """It ends with this exception, which is recorded."""
        if self._span.is_recording():
            kind = type(error)
            builtin = kind.__module__ == "builtins"
            self.refuse(kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}")
            self._span.record_exception(error)

    def end(self) -> None:
        """It has ended."""
        self._span.end()


class _CurrentSpan(OpenTelemetrySpan):
    """A span that is current until it ends."""

    __slots__ = ("_context", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = set_span_in_context(span, _EMPTY)
        self._token: Token[Context] = attach(self._context)

    def end(self) -> None:
        # The host may have left a context of its own, and a coroutine that is closed ends in another context.
        if get_current() is self._context:
            detach(self._token)
        self._span.end()


def _span_context(context: TraceContext) -> SpanContext:
    state = TraceState.from_header([context.state]) if context.state else None
    return SpanContext(context.trace_id, context.span_id, True, TraceFlags(context.flags), state)
