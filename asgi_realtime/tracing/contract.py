"""What a host passes as `tracing=`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.tracing.trace_context import TraceContext

Attributes: TypeAlias = Mapping[str, str | int]
"""By the names of `asgi_realtime.tracing.attributes`."""


class TracingSpan(Protocol):
    """Something that is traced, until `end`."""

    @property
    def context(self) -> TraceContext | None:
        """What processes get that continue it. None: it is not sampled, and they get nothing."""

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def refuse(self, code: str) -> None:
        """It ends with a refusal that has this code."""

    def fail(self, error: BaseException) -> None:
        """It ends with this exception."""

    def end(self) -> None:
        """It has ended. Called once."""


class Tracing(Protocol):
    """Makes the spans of a process. `OpenTelemetryTracing` is one; write another for another system.

    None of these methods may wait or raise. All are called on the event loop. The names and attributes of the spans are
    in `docs/operations/tracing.md`.
    """

    def link(self, headers: Mapping[str, str]) -> object | None:
        """What the events of a client will be linked to. None: to nothing.

        Called within the request with which the client connects. `headers` are those of the request, with lower-case
        names. The result is kept while the client is connected.
        """

    def event(self, name: str, attributes: Attributes, link: Any) -> TracingSpan:
        """Begin the span of a client's event: the first of a new trace. `link` is a result of `link`.

        Until it ends, it is the current span of what runs in this context.
        """

    def publish(self, name: str, attributes: Attributes) -> TracingSpan:
        """Begin the span of a broadcast or a command, as a child of the current span. It does not become current."""

    def deliver(self, name: str, attributes: Attributes, parent: TraceContext) -> TracingSpan:
        """Begin the span of the delivery of a broadcast. `parent` is the context of the span of its publication."""


def tracing_from(value: Tracing | None) -> Tracing | None:
    """Check what `tracing=` names. None: nothing is traced.

    Raises:
        ConfigurationError: for an object without the methods.
    """
    if value is None:
        return None
    given: Any = value
    if isinstance(given, type):
        raise ConfigurationError(f"tracing= is the class {given.__name__}; pass an instance: {given.__name__}(...)")
    missing = [name for name in ("link", "event", "publish", "deliver") if not callable(getattr(given, name, None))]
    if missing:
        raise ConfigurationError(
            "tracing= takes an object with the methods of Tracing, such as OpenTelemetryTracing(); "
            f"{type(given).__name__} has no {missing[0]}"
        )
    return value
