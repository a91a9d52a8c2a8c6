"""Makes a span for each event of a client that a handler takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Disconnect, Refusal
from asgi_realtime.handlers.event_handlers import BoundHandler
from asgi_realtime.runtime.coroutines import TIMED_OUT
from asgi_realtime.tracing import Tracing, TracingSpan
from asgi_realtime.tracing.attributes import EVENT, OTHER, common_attributes
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from asgi_realtime.values.traced_handshake import TracedHandshake

A = TypeVar("A")
B = TypeVar("B")

Dispatch: TypeAlias = Callable[[Connection, str, Sequence[Json]], Coroutine[Any, Any, Any]]
"""Returns the coroutine of what handles an event that has no declared handler."""
DISCONNECT = "DISCONNECT"
"""The code for an event whose handler raised `Disconnect`."""


class EventTracing:
    """The spans of the events of one gateway.

    Handlers are wrapped when they are bound. So nothing is different for events of gateways that are not traced, and
    plain events have the same spans as those that are handled in the general way.

    Args:
        tracing: makes the spans.
        gateway: the name of the gateway.
        refusal_of: what an exception of a handler means for the client. None: it is a failure.
    """

    def __init__(
        self,
        tracing: Tracing,
        gateway: GatewayName,
        refusal_of: Callable[[BaseException], Refusal | Disconnect | None],
    ) -> None:
        self._tracing = tracing
        self._gateway = gateway
        self._refusal_of = refusal_of

    def bind(self, event: str, begin: BoundHandler) -> BoundHandler:
        """Return what calls the handler of an event within a span."""
        start = self._starter(event)

        def begin_traced(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
            return self._begin(start(connection), begin, connection, sent)

        return begin_traced

    def bind_direct(
        self, event: str, call: Callable[[Any, Connection], Coroutine[Any, Any, Any]]
    ) -> Callable[[Any, Connection], Coroutine[Any, Any, Any]]:
        """The same for a handler whose payload is decoded directly. See `DirectHandler`."""
        start = self._starter(event)

        def call_traced(payload: Any, connection: Connection) -> Coroutine[Any, Any, Any]:
            return self._begin(start(connection), call, payload, connection)

        return call_traced

    def bind_dispatch(self, dispatch: Dispatch, has_handler: Callable[[str], bool]) -> Dispatch:
        """The same for what handles events that are not declared. `has_handler` says which names the host has chosen.

        All other names are chosen by clients, and become `other`.
        """
        starters: dict[str, Callable[[Connection], TracingSpan]] = {}

        def dispatch_traced(connection: Connection, event: str, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
            name = event if has_handler(event) else OTHER
            start = starters.get(name)
            if start is None:
                start = starters[name] = self._starter(name)
            return self._begin(
                start(connection), lambda first, second: dispatch(first, event, second), connection, sent
            )

        return dispatch_traced

    def _starter(self, event: str) -> Callable[[Connection], TracingSpan]:
        """Return what begins the span of an event. The name and the attributes are made once."""
        begin_span = self._tracing.event
        name = f"handle {self._gateway} {event}"
        attributes = common_attributes("handle", self._gateway) | {EVENT.name: event}

        def start(connection: Connection) -> TracingSpan:
            handshake = connection.handshake
            return begin_span(name, attributes, handshake.link if type(handshake) is TracedHandshake else None)

        return start

    def _begin(
        self, span: TracingSpan, begin: Callable[[A, B], Coroutine[Any, Any, Any]], first: A, second: B
    ) -> Coroutine[Any, Any, Any]:
        """Return the coroutine of a handler, which ends the span."""
        try:
            work = begin(first, second)
        except BaseException as error:
            self._set_failure(span, error)
            span.end()
            raise
        return self._await(span, work)

    async def _await(self, span: TracingSpan, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except BaseException as error:
            self._set_failure(span, error)
            raise
        finally:
            span.end()

    def _set_failure(self, span: TracingSpan, error: BaseException) -> None:
        meant = self._refusal_of(error)
        if isinstance(meant, Refusal):
            span.refuse(meant.reply_code)
        elif isinstance(meant, Disconnect):
            span.refuse(DISCONNECT)
        elif isinstance(error, asyncio.CancelledError) and error.args == (TIMED_OUT,):
            span.fail(TimeoutError("MEW_HANDLER_TIMEOUT has passed").with_traceback(error.__traceback__))
        else:
            span.fail(error)
