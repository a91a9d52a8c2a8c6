"""Binds the handlers of a gateway: reads their signatures, and adds what each of their events has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgi_realtime.answers import Answers
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.gateways.event_metrics import EventMetrics
from asgi_realtime.gateways.event_tracing import Dispatch, EventTracing
from asgi_realtime.gateways.wrappers import Wrappers
from asgi_realtime.handlers.dependencies.injector import Injector
from asgi_realtime.handlers.event_handlers import BoundHandler, bind_handler, handler_name, payload_parameters
from asgi_realtime.handlers.event_ids import event_id_reader
from asgi_realtime.handlers.once import OnceHandlers, SendAnswer
from asgi_realtime.runtime.host_calls import ToSync
from asgi_realtime.runtime.host_code import AroundHostCode, wrapped


class HandlerBinding:
    """Binds the handlers of one gateway.

    Args:
        broadcaster: what is injected.
        injector: calls their dependencies.
        wrappers: what is called around them.
        to_sync: converts injected arguments to their form for threads.
        metrics: what counts the events.
        tracing: makes their spans. None: they have none.
        around: what is done around code of the host. None: nothing.
        acknowledges: whether clients can ask for an acknowledgement.
        make_answers: makes the answers of handlers with `once`.
        send_answer: sends such an answer where clients cannot ask for an acknowledgement. None: they can.
        event_id_bytes: most bytes of an event's id.
    """

    def __init__(
        self,
        *,
        broadcaster: Broadcaster,
        injector: Injector,
        wrappers: Wrappers,
        to_sync: ToSync,
        metrics: EventMetrics,
        tracing: EventTracing | None,
        around: AroundHostCode | None,
        acknowledges: bool,
        make_answers: Callable[[], Answers],
        send_answer: SendAnswer | None,
        event_id_bytes: int,
    ) -> None:
        self._broadcaster = broadcaster
        self._injector = injector
        self._wrappers = wrappers
        self._to_sync = to_sync
        self._metrics = metrics
        self._tracing = tracing
        self._around = around
        self._acknowledges = acknowledges
        self._make_answers = make_answers
        self._send_answer = send_answer
        self._event_id_bytes = event_id_bytes
        self._once_handlers: OnceHandlers | None = None

    def bind(self, event: str, function: Callable[..., Any], once: str | None) -> BoundHandler:
        """Return what calls the handler of an event. `once`: see `on`.

        Raises:
            ConfigurationError: for a parameter that nothing can be injected into, or a `once` that names no id.
        """
        self._metrics.declare(event)
        begin = bind_handler(
            event,
            function,
            self._broadcaster,
            self._to_sync,
            acknowledges=self._acknowledges or once is not None,
            injector=self._injector,
        )
        begin = self._wrappers.bind(event, begin)
        if once is not None:
            begin = self._bind_once(event, function, once, begin)
        begin = wrapped(self._around, begin)
        return begin if self._tracing is None else self._tracing.bind(event, begin)

    def bind_dispatch(self, dispatch: Dispatch, has_handler: Callable[[str], bool]) -> Dispatch:
        """The same for a host's `dispatch`. `has_handler`: whether the host has chosen an event's name."""
        bound: Dispatch = wrapped(self._around, self._wrappers.bind_dispatch(dispatch))
        return bound if self._tracing is None else self._tracing.bind_dispatch(bound, has_handler)

    def direct(self, function: Callable[..., Any], once: str | None) -> Callable[..., Any] | None:
        """The handler, if it may be called with its payload and nothing around it. See `PlainEvents.declare`."""
        return function if once is None and self._around is None and not self._wrappers else None

    def _bind_once(self, event: str, function: Callable[..., Any], once: str, begin: BoundHandler) -> BoundHandler:
        where = handler_name(event, function)
        ids = event_id_reader(once, payload_parameters(function, where), where, limit=self._event_id_bytes)
        if self._once_handlers is None:
            self._once_handlers = OnceHandlers(self._make_answers(), self._send_answer)
        return self._once_handlers.bind(event, begin, ids)
