"""Spans of events and broadcasts: the contract, the attributes, and how a trace context travels."""

from asgi_realtime.tracing.contract import Tracing, TracingSpan, tracing_from
from asgi_realtime.tracing.trace_context import TraceContext

__all__ = ["TraceContext", "Tracing", "TracingSpan", "tracing_from"]
