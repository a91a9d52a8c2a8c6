"""`OpenTelemetryTracing`: what is current, and what ends where."""

from __future__ import annotations

import contextvars
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanContext, TraceFlags, TraceState

from asgi_realtime import OpenTelemetryTracing, TraceContext
from tests.support.recorded_spans import RecordedSpans


def current() -> SpanContext:
    return trace.get_current_span().get_span_context()


def test_the_span_of_an_event_is_current_until_it_ends() -> None:
    spans = RecordedSpans()
    with spans.tracer.start_as_current_span("around") as around:
        before = contextvars.copy_context()
        span = spans.tracing.event("event", {}, None)
        assert current().span_id not in (0, around.get_span_context().span_id)
        span.end()
        assert current() == around.get_span_context()
        assert contextvars.copy_context() == before
    assert spans.one("event").parent_id is None


def test_a_context_that_the_host_has_left_stays(caplog: pytest.LogCaptureFixture) -> None:
    spans = RecordedSpans()

    def handle() -> None:
        span = spans.tracing.event("event", {}, None)
        other = spans.tracer.start_span("other")
        from opentelemetry.context import attach

        attach(trace.set_span_in_context(other))
        span.end()
        assert current() == other.get_span_context()

    contextvars.copy_context().run(handle)
    assert spans.names == ["event"]
    assert caplog.records == []


def test_a_span_may_end_in_another_context(caplog: pytest.LogCaptureFixture) -> None:
    """As when a coroutine is closed that waits."""
    spans = RecordedSpans()
    span = contextvars.copy_context().run(spans.tracing.event, "event", {}, None)
    with caplog.at_level(logging.DEBUG):
        span.end()
    assert spans.names == ["event"]
    assert caplog.records == []


def test_what_is_not_sampled_carries_nothing() -> None:
    assert RecordedSpans(ALWAYS_OFF).tracing.publish("publish", {}).context is None
    assert OpenTelemetryTracing(NoOpTracerProvider()).publish("publish", {}).context is None


def test_a_state_is_carried_within_its_limit() -> None:
    spans = RecordedSpans()
    members = [(f"k{number}", "x" * 100) for number in range(10)]
    parent = trace.NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(1), TraceState(members)))
    with trace.use_span(parent):
        span = spans.tracing.publish("publish", {})
    context = span.context
    assert context is not None
    assert (context.trace_id, context.flags & 1) == (1, 1)
    assert context.state == ",".join([f"{name}={value}" for name, value in members[:4]])
    delivered = spans.tracing.deliver("deliver", {}, context)
    assert delivered.context is not None
    assert delivered.context.state == context.state
    span.end()
    delivered.end()
    assert spans.one("deliver").is_child_of(spans.one("publish"))


def test_a_delivery_without_a_state() -> None:
    spans = RecordedSpans()
    spans.tracing.deliver("deliver", {}, TraceContext(1, 2, 1)).end()
    assert (spans.one("deliver").trace_id, spans.one("deliver").parent_id) == (1, 2)
