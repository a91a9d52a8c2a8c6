"""Handles the plain events of a client in one loop: from the text of a message to its handler, and on to the next one.

Most events are alike: a short text in the usual form, with one argument or none, for a handler that returns without
waiting, from a client none of whose events is being handled. In the general way such an event takes about twenty calls.
Here, one loop handles all that have arrived.

It may only shorten the way, never change what happens:

- A text is handled only if the bytes before its payload are exactly those of a declared event, and the payload can be
  decoded. Any other is left in `TextTurn.text` and nothing is counted. The general way then handles or refuses it.
- Each event must be within the rates at the time at which its bytes were read.
- The inbox runs the loop as one piece of work: as a standby task, in a copy of the context. Each event must find both
  as new. So the loop ends after a handler that has changed the context, or has cancelled its task.
- It ends after a handler that has closed the connection, and at the end of the client's turn.
- A handler that waits makes the loop wait. Later events are queued in the general way, since the inbox is busy, and the
  loop ends with that handler.

The loop is a coroutine that awaits the handlers. Python's `await` is cheaper than a call of `send`, which ends with an
exception for each handler. The rates are read once for all events but the first, and counted when the loop has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from asgi_realtime.connection.connection import Connection, InternalConnection
from asgi_realtime.errors import InvalidMessage, Refusal
from asgi_realtime.gateways.event_metrics import EventMetrics
from asgi_realtime.gateways.event_tracing import EventTracing
from asgi_realtime.handlers.direct_handlers import direct_handler
from asgi_realtime.handlers.event_handlers import BoundHandler, answer_values
from asgi_realtime.handlers.event_rates import EventRates
from asgi_realtime.limits import Limits
from asgi_realtime.metrics.recorded import Counter
from asgi_realtime.protocols.event_text import EventText
from asgi_realtime.protocols.json_text import MAX_NESTING, NOT_JSON, SHORT, JSONReader
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.coroutines import resume_within
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.inbox import Pending
from asgi_realtime.runtime.tasks import HOST_ERRORS
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import is_longer

Acknowledge: TypeAlias = Callable[[Sequence[Json]], None]
"""Sends an acknowledgement to the client: the values, none or more."""

_LONGEST: Final = 1024
"""Bytes of the longest text that is handled here. For longer texts the general way is a small part of the work."""
_ACK_DIGITS: Final = 16
_FIRST: Final = -1
"""Stands for the number of events that may be handled, before that is known."""
_QUOTE: Final = b'"'
_COLON: Final = b":"
_read = JSONReader().decode


class MakesAcks(Protocol):
    """The transport of a client that can ask for acknowledgements."""

    def acknowledger(self, ack_id: int) -> Acknowledge:
        """Return what acknowledges the event with this id."""


class Outcomes(NamedTuple):
    """What else may become of an event. See `Dispatcher`."""

    refuse: Callable[[InternalConnection, str, Sequence[Json], Refusal, Acknowledge | None], None]
    """It does not fit the declaration of its handler."""
    fail: Callable[[BaseException, InternalConnection, str, Sequence[Json], Acknowledge | None], None]
    """Its handler raised. Raises the error again if it cancels this task."""
    report_unused: Callable[[str, object], None] | None
    """Its handler returned a value that no client can ask for. None: clients can ask."""


class _Event(NamedTuple):
    """A declared event, by how its text begins."""

    name: str
    begin: BoundHandler
    decode: Callable[[bytes], Any]
    """Decodes the payload: to what `call` takes, or to any JSON."""
    colons: int | None
    """See `DirectHandler`, here and below."""
    call: Callable[[Any, Connection], Coroutine[Any, Any, Any]] | None
    """None: `begin` takes the payload."""
    counter: Counter | None
    """None: events are not counted."""


class PlainEvents:
    """The plain events of one gateway."""

    def __init__(
        self,
        form: EventText,
        rates: EventRates,
        outcomes: Outcomes,
        limits: Limits,
        session: Limits,
        metrics: EventMetrics,
        tracing: EventTracing | None,
    ) -> None:
        """Handle no event yet.

        Args:
            form: how events look. In another form they are left to the general way.
            rates: those of the gateway.
            outcomes: what else may become of an event.
            limits: those of the gateway.
            session: those of the session that carries its clients. Here the smaller ones apply.
            metrics: what counts the events.
            tracing: makes the spans of the events. None: they have none.
        """
        self._form = form
        self._to_name = len(form.prefix) + len(form.before) + 1
        self._behind_name = len(form.between) + 1
        self._end = form.end[0]
        self._rates = rates
        self._outcomes = outcomes
        self._metrics = metrics if metrics.on else None
        self._tracing = tracing
        self._handler_timeout = limits.handler_timeout
        self._name_bytes = min(limits.event_name_bytes, session.event_name_bytes)
        self._longest = min(_LONGEST, limits.message_bytes, session.message_bytes)
        self._short = min(SHORT, self._longest)
        self._events: dict[bytes, _Event] = {}  # those with a payload, by what is before it
        self._bare_events: dict[bytes, _Event] = {}  # the same without a payload, by the whole text

    def declare(self, event: str, begin: BoundHandler, function: Callable[..., Any] | None) -> None:
        """Handle this event, from now on with this handler. `function`: if it may be called without `begin`."""
        if is_longer(event, self._name_bytes):
            return
        head, whole = self._form.heads(event)
        counter = None if self._metrics is None else self._metrics.counter(event)
        plain = self._bare_events[whole] = _Event(event, begin, _read, None, None, counter)
        direct = None if function is None else direct_handler(event, function)
        if direct is not None and self._tracing is not None:
            direct = direct._replace(call=self._tracing.bind_direct(event, direct.call))
        self._events[head] = plain if direct is None else _Event(event, begin, *direct, counter)

    def receive(self, connection: InternalConnection, turn: TextTurn, acks: MakesAcks | None) -> None:
        """Handle what is plain of the next texts of a client that may send events.

        `acks`: its transport, if it can ask for acknowledgements.
        """
        inbox = connection.inbox
        if not inbox.busy and not (connection.sink is None and connection.closed):
            text = turn.next_text()
            if text is not None:
                inbox.begin(self._begin, connection, turn, acks, text)

    def _begin(self, connection: InternalConnection, turn: TextTurn, acks: MakesAcks | None, text: bytes) -> Pending:
        """Handle events until a handler waits."""
        now = time_source.monotonic()
        work = self._handle(connection, turn, acks, text, now)
        try:
            waiting = work.send(None)
        except StopIteration:
            return None
        finally:
            if turn.handled:
                self._rates.count(turn.handled, connection.inbox, connection.identity.user_id, now)
                turn.count(turn.handled, now)
                turn.handled = 0
        turn.ended = True
        return self._finish(connection, turn, work, waiting)

    async def _finish(
        self, connection: InternalConnection, turn: TextTurn, work: Coroutine[Any, Any, None], waiting: Any
    ) -> None:
        """Wait for the handler that waits."""
        began = 0.0 if self._metrics is None else perf_counter()
        try:
            await resume_within(self._handler_timeout, work, waiting)
        except HOST_ERRORS as error:
            self._outcomes.fail(error, connection, *turn.failed)
        finally:
            if self._metrics is not None:
                self._metrics.waited(turn.event, perf_counter() - began)

    async def _handle(
        self, connection: InternalConnection, turn: TextTurn, acks: MakesAcks | None, text: bytes, now: float
    ) -> None:
        """Handle events that have arrived, up to the first that is not plain. `text`: the first, read at `now`."""
        events, outcomes, public, context = self._events, self._outcomes, connection.public, copy_context()
        to_name, behind_name, end, short = self._to_name, self._behind_name, self._end, self._short
        left = _FIRST
        while left:
            # Which event is it?
            head = text.find(_QUOTE, to_name) + behind_name
            event, acknowledge = events.get(text[:head]), None
            if event is None:
                event, head, acknowledge = self._find(text, acks)
                if event is None:
                    break
            name, begin, decode, colons, call, counter = event
            if len(text) > short and (len(text) > self._longest or text.count(b"[") + text.count(b"{") > MAX_NESTING):
                break
            sent: Any = []
            try:
                if head:
                    if text[-1] != end:
                        break
                    payload = text[head:-1]
                    if colons is None or payload.count(_COLON) == colons:
                        sent = decode(payload)
                    else:
                        sent, call = _read(payload), None
                    if call is None:
                        sent = [sent]
            except NOT_JSON:
                break
            # From here on it is counted and handled.
            if left > 0:
                left -= 1
                turn.handled += 1
            elif self._rates.admits(connection.inbox, connection.identity.user_id, now):
                turn.count(1, now)
            else:
                break
            if counter is not None:
                counter.value += 1
                turn.event = name
            try:
                try:
                    work = begin(public, sent) if call is None else call(sent, public)
                except InvalidMessage as error:
                    outcomes.refuse(connection, name, sent, error, acknowledge)
                else:
                    result = await work
                    if acknowledge is not None:
                        acknowledge(answer_values(result))
                    elif result is not None and outcomes.report_unused is not None:
                        outcomes.report_unused(name, result)
            except HOST_ERRORS as error:
                turn.failed = name, sent if call is None else [_read(payload)], acknowledge
                outcomes.fail(error, connection, *turn.failed)
            # Is there another one, and would it find everything as new?
            if turn.ended or turn.over or not left:
                return
            following = turn.next_text()
            if following is None:
                return
            text = following
            if left < 0:
                left = min(self._rates.available(connection.inbox, connection.identity.user_id, now), turn.begin(now))
                task = asyncio.current_task()
                assert task is not None
                cancelling, until, monotonic = task.cancelling, turn.until, time_source.monotonic
            if monotonic() > until:
                turn.over = turn.ended = True
            if (connection.sink is None and connection.closed) or cancelling() or copy_context() != context:
                break
        turn.text = text

    def _find(self, text: bytes, acks: MakesAcks | None) -> tuple[_Event | None, int, Acknowledge | None]:
        """Find the event of a text that has an ack id, or no payload. Returns also where the payload begins, or 0."""
        prefix, before = self._form.prefix, self._form.before
        if acks is not None and text.startswith(prefix):
            start = text.find(before, len(prefix), len(prefix) + _ACK_DIGITS + 1)
            digits = text[len(prefix) : start]
            if digits.isdigit():
                without = prefix + text[start:]
                head = without.find(_QUOTE, self._to_name) + self._behind_name
                acknowledge = acks.acknowledger(int(digits))
                event = self._events.get(without[:head])
                if event is not None:
                    return event, head + len(digits), acknowledge
                return self._bare_events.get(without), 0, acknowledge
        return self._bare_events.get(text), 0, None
