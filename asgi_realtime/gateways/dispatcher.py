"""Dispatches the events of clients to the handlers of a gateway."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, ClassVar, TypeVar

from asgi_realtime.answers import Answers
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection, InternalConnection
from asgi_realtime.errors import Disconnect, InvalidMessage, NoAnswer, RateLimited, Refusal
from asgi_realtime.gateways.declared_handlers import DeclaredHandlers
from asgi_realtime.gateways.event_metrics import EventMetrics
from asgi_realtime.gateways.event_tracing import Dispatch, EventTracing
from asgi_realtime.gateways.handler_binding import HandlerBinding
from asgi_realtime.gateways.plain_events import Acknowledge, Outcomes, PlainEvents
from asgi_realtime.handlers.dependencies.injector import Injector
from asgi_realtime.handlers.event_handlers import (
    SEND_INSTEAD,
    answer_values,
    handler_name,
)
from asgi_realtime.handlers.event_rates import EventRates
from asgi_realtime.handlers.once import SendAnswer
from asgi_realtime.handlers.sync_connection import sync_converter
from asgi_realtime.handlers.unused_results import UnusedResults
from asgi_realtime.limits import TOO_MANY_ATTEMPTS, Limits
from asgi_realtime.protocols.event_text import usual_form
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.coroutines import resume_within
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.host_code import AroundHostCode
from asgi_realtime.runtime.http_errors import refusal_of
from asgi_realtime.runtime.inbox import Pending
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.runtime.tasks import HOST_ERRORS, ends_this_task
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json

F = TypeVar("F", bound=Callable[..., Any])
logger = logging.getLogger("asgi_realtime")


class Dispatcher(DeclaredHandlers):
    """Calls the handlers of events: for each connection in order, one at a time, within its rate limit.

    A handler runs within the transport's call until its first wait. While a handler awaits, later events of that
    connection are queued.
    """

    acknowledges: ClassVar[bool] = True
    """Whether a client may ask for an acknowledgement of its event: the handler's result."""
    # Declared here, so that `reserved_names` includes them.
    _rates: EventRates
    _attempts: Budget
    _handler_timeout: float
    _unused_results: UnusedResults
    _event_metrics: EventMetrics
    _dispatch: Dispatch
    _failures: FailureLog

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._unused_results = UnusedResults(SEND_INSTEAD)
        self._failures = FailureLog()

    def prepare(
        self,
        limits: Limits,
        session: Limits,
        broadcaster: Broadcaster,
        injector: Injector,
        loop_bridge: LoopBridge,
        make_answers: Callable[[GatewayName, Limits], Answers],
        metrics: EventMetrics,
        tracing: EventTracing | None,
        around: AroundHostCode | None,
    ) -> None:
        """Get ready for events. The handlers' signatures are checked here. `session`: limits of what carries clients.

        Raises:
            ConfigurationError: for a handler that cannot be called, or an event that cannot arrive.
        """
        self._event_metrics = metrics
        self._rates = EventRates(limits)
        self._handler_timeout = limits.handler_timeout
        self._sync_converter = sync_converter(broadcaster, loop_bridge, limits.handler_timeout, around)
        self._check_arrivals(limits)
        binding = HandlerBinding(
            broadcaster=broadcaster,
            injector=injector,
            wrappers=self._wrappers,
            to_sync=self._to_sync,
            metrics=metrics,
            tracing=tracing,
            around=around,
            acknowledges=self.acknowledges,
            make_answers=functools.partial(make_answers, self._name, limits),
            send_answer=self._answer_sender(),
            event_id_bytes=limits.event_id_bytes,
        )
        is_own = type(self).dispatch is Dispatcher.dispatch
        self._dispatch = self.dispatch if is_own else binding.bind_dispatch(self.dispatch, self._has_handler)
        self._bind_handlers(binding)
        self.plain_events = self._bind_plain_events(binding, limits, session, tracing)

    def _bind_plain_events(
        self, binding: HandlerBinding, limits: Limits, session: Limits, tracing: EventTracing | None
    ) -> PlainEvents | None:
        form = usual_form(self._dialect)
        if form is None:
            return None
        outcomes = Outcomes(self._refuse_unhandled, self._failed, None if self.acknowledges else self._report_unused)
        plain_events = PlainEvents(form, self._rates, outcomes, limits, session, self._event_metrics, tracing)
        for event, begin in self._handlers.items():
            plain_events.declare(event, begin, binding.direct(self._functions[event], self._once.get(event)))
        return plain_events

    def _answer_sender(self) -> SendAnswer | None:
        """Sends the answers of handlers with `once`, where clients cannot ask for an acknowledgement."""
        return None

    # Entry points of the transports

    def receive(
        self,
        connection: InternalConnection,
        event: str,
        sent: Sequence[Json],
        acknowledge: Acknowledge | None,
        now: float,
    ) -> bool:
        """Take one event of a client. Handled after the client's earlier events, never concurrently with them.

        Returns True if the transport must stop reading until `connection.inbox.ready` returns. `now`: seconds,
        monotonic.
        """
        if connection.sink is None and connection.closed:  # its transport is about to be closed
            return False
        inbox = connection.inbox
        if self._rates.admits(inbox, connection.identity.user_id, now):
            return inbox.begin(self._handle, connection, event, sent, acknowledge)
        self._refuse_more(connection, event, sent, acknowledge)
        return False

    def admits(
        self,
        connection: InternalConnection,
        event: str,
        sent: Sequence[Json],
        acknowledge: Acknowledge | None,
        now: float,
    ) -> bool:
        """Whether one more event is within the rate. If not, it was refused, or the client was closed."""
        if self._rates.admits(connection.inbox, connection.identity.user_id, now):
            return True
        self._refuse_more(connection, event, sent, acknowledge)
        return False

    def _refuse_more(
        self, connection: InternalConnection, event: str, sent: Sequence[Json], acknowledge: Acknowledge | None
    ) -> None:
        self._refuse_unhandled(connection, event, sent, RateLimited("too many events"), acknowledge)

    def _refuse_unhandled(
        self,
        connection: InternalConnection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Refuse an event before any handler is called. It counts as an attempt (see `Limits.attempt_rate`)."""
        self._event_metrics.refused(refusal.reply_code)
        if connection.transport.attempted(self._attempts):
            self.send_refusal(connection.public, event, sent, refusal, acknowledge)
        else:
            logger.info("%r is closed: %s", connection, TOO_MANY_ATTEMPTS, extra=log_fields(connection=connection))
            connection.end(1008, TOO_MANY_ATTEMPTS)

    def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        """Handle an event that has no declared handler. The coroutine returns the acknowledgement.

        Raises:
            InvalidMessage: no code handles it.
        """
        raise InvalidMessage("unknown event")

    def _handle(
        self, connection: InternalConnection, event: str, sent: Sequence[Json], acknowledge: Acknowledge | None
    ) -> Pending:
        """Run the handler of an event until its first wait. Most handlers never wait, and need no timer."""
        if self._event_metrics.on:
            self._event_metrics.counter(event).value += 1
        try:
            begin = self._handlers.get(event)
            try:
                work = (
                    self._dispatch(connection.public, event, sent) if begin is None else begin(connection.public, sent)
                )
            except InvalidMessage as error:
                self._refuse_unhandled(connection, event, sent, error, acknowledge)
                return None
            try:
                waiting = work.send(None)
            except StopIteration as done:
                if acknowledge is not None:
                    acknowledge(answer_values(done.value))
                elif done.value is not None and not self.acknowledges:
                    self._report_unused(event, done.value)
                return None
        except HOST_ERRORS as error:
            self._failed(error, connection, event, sent, acknowledge)
            return None
        rest = resume_within(self._handler_timeout, work, waiting)
        return self._handle_rest(rest, connection, event, sent, acknowledge)

    async def _handle_rest(
        self,
        rest: Awaitable[Any],
        connection: InternalConnection,
        event: str,
        sent: Sequence[Json],
        acknowledge: Acknowledge | None,
    ) -> None:
        began = perf_counter() if self._event_metrics.on else 0.0
        try:
            result = await rest
            if acknowledge is not None:
                acknowledge(answer_values(result))
            elif result is not None and not self.acknowledges:
                self._report_unused(event, result)
        except HOST_ERRORS as error:
            self._failed(error, connection, event, sent, acknowledge)
        finally:
            if self._event_metrics.on:
                self._event_metrics.waited(event, perf_counter() - began)

    def _report_unused(self, event: str, result: object) -> None:
        """Log the first result of a handler where no client can ask for an acknowledgement."""
        function = self._functions.get(event)
        if function is None:  # clients choose the names of these events: they are one entry
            self._unused_results.report(self.dispatch, f"{type(self).__name__}.dispatch", result)
        else:
            self._unused_results.report(function, handler_name(event, function), result)

    def _failed(
        self,
        error: BaseException,
        connection: InternalConnection,
        event: str,
        sent: Sequence[Json],
        acknowledge: Acknowledge | None,
    ) -> None:
        """Send the client a refusal of its event. A failure is logged."""
        meant, name = self._refusal_of(error), self.loggable(event)
        if isinstance(meant, InvalidMessage) and meant.before_handler:
            self._refuse_unhandled(connection, event, sent, meant, acknowledge)
        elif isinstance(meant, Refusal):
            self._event_metrics.refused(meant.reply_code)
            self.send_refusal(connection.public, event, sent, meant, acknowledge)
        elif isinstance(meant, Disconnect):
            connection.end(meant.code, meant.reason)
        elif ends_this_task(error):
            raise error
        elif isinstance(error, NoAnswer) and connection.closed:
            extra = log_fields(connection=connection, event=name)
            logger.info("%s: %s ended early: the client has gone", self.name, name, extra=extra)
        else:
            self._event_metrics.refused("INTERNAL")
            self._failures.failed(self.name, f"{name} failed", error, connection=connection, event=name)
            self.send_refusal(connection.public, event, sent, Refusal("internal error", code="INTERNAL"), acknowledge)

    def log_failure(self, what: str, error: BaseException, *, about: str = "") -> None:
        """Log an exception that no caller gets, such as that of a service which is called for no event.

        The line and its field `realtime_gateway` name the gateway. It is written in this call, and once a minute for
        the same `what` and exceptions of one type that were raised at one place. The next line says how many others
        there were.

        Args:
            what: what failed, such as `messages_delivered failed`. Without ids, which would make each failure another.
            error: the exception. It is logged with its traceback, unless it is a `TimeoutError` or `BrokerUnavailable`.
            about: which objects it is about, for the text.
        """
        self._failures.failed(self.name, what, error, about=about)

    def loggable(self, event: str) -> str:
        """An event's name for the log. Here it is one that the gateway declares. Overridden where it may be another."""
        return event

    def _refusal_of(self, error: BaseException) -> Refusal | Disconnect | None:
        """The reply to the client for an exception of host code. None: it is a failure."""
        return refusal_of(error)
