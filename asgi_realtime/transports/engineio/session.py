"""One Engine.IO session: packets, heartbeat, polls and upgrade, whichever transport carries it. No I/O."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

import msgspec

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import TOO_MUCH_CONTROL
from asgi_realtime.protocols.engineio import packets
from asgi_realtime.protocols.engineio.heartbeat import Heartbeat, HeartbeatAction
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.settings import Settings
from asgi_realtime.transports.engineio.lifecycle import SessionLifecycle, State
from asgi_realtime.values.handshake import Handshake

logger = logging.getLogger("asgi_realtime")

_PING = Frame(packets.PING)

_FRAMING_BYTES = 16
"""Types and separators around the payload of a CONNECT."""


class SessionOwner(Protocol):
    """Keeps the sessions of a server until they end."""

    def session_ending(self, session: Session) -> None:
        """The session has begun to end. A polling client now has a limited time to fetch what is queued."""

    def session_ended(self, session: Session, reason: str) -> None:
        """The session has ended. Called exactly once."""

    def session_failed(self, what: str, error: Exception) -> None:
        """The application of a session has failed: log it."""


class Session(SessionLifecycle):
    """A client, known by its session id, over long-polling or a WebSocket.

    The transports pass received packets to it, and write the packets that it returns. Each call that depends on time
    has the time as an argument (seconds, monotonic). The application pushes frames and may end the session.
    """

    __slots__ = (
        "__weakref__",
        "_attempts_refilled_at",
        "_budgets",
        "_control_refilled_at",
        "_heartbeat",
        "_owner",
        "_polling",
        "_posting",
        "_settings",
        "_upgrading",
        "handshake",
        "id",
        "probed",
        "reading",
    )

    authenticating = False
    """A WebSocket's session is open from the start: its namespaces authenticate beside it. See `WebSocketReader`."""

    def __init__(
        self,
        id: str,
        handshake: Handshake,
        *,
        websocket: bool,
        settings: Settings,
        budgets: Budgets,
        now: float,
        owner: SessionOwner,
    ) -> None:
        super().__init__(settings.limits.outbox_bytes, websocket=websocket)
        self.id = id
        self.handshake = handshake
        self.reading = True
        """Set by the transports: False while packets of the client may wait unread because this server is busy."""
        self.probed = False
        """Whether a WebSocket of this session was probed. Its client then waits for its polls to end."""
        self._settings = settings
        self._budgets = budgets
        self._attempts_refilled_at = self._control_refilled_at = 0.0
        self._owner = owner
        self._upgrading = False
        self._polling = False
        self._posting = False
        self._heartbeat = Heartbeat(settings.ping_interval, settings.ping_timeout, now)

    def __repr__(self) -> str:
        # The id authenticates the client, so it stays out of logs.
        return f"<Engine.IO session of {self.handshake.client_address} over {self.transport}, {self._state.value}>"

    @property
    def transport(self) -> str:
        """What carries the session now: `polling` or `websocket`."""
        return "websocket" if self._websocket else "polling"

    @property
    def answered_at(self) -> float | None:
        """When the last ping was sent that the client has answered (seconds, monotonic). None: none yet."""
        return self._heartbeat.answered_at

    @property
    def open_packet(self) -> str:
        """The first packet for the client: the session id, and the parameters of the session."""
        upgrades = ["websocket"] if not self._websocket and "websocket" in self._settings.transports else []
        opening = {
            "sid": self.id,
            "upgrades": upgrades,
            "pingInterval": round(self._settings.ping_interval * 1000),
            "pingTimeout": round(self._settings.ping_timeout * 1000),
            "maxPayload": self._settings.limits.message_bytes,
        }
        return packets.OPEN + msgspec.json.encode(opening).decode()

    @property
    def message_bytes(self) -> int:
        """Largest message that the client may send now: before authentication that of a CONNECT."""
        limits = self._settings.limits
        if self._application is None or self._application.authenticated:
            return limits.message_bytes
        return min(limits.message_bytes, limits.handshake_bytes + limits.event_name_bytes + _FRAMING_BYTES)

    @property
    def post_bytes(self) -> int:
        """Largest POST that the client may send now: before authentication a CONNECT for each namespace."""
        limits = self._settings.limits
        return min(limits.message_bytes, self.message_bytes * limits.namespaces_per_session)

    # For the transports

    def receive(self, packet: str | bytes, now: float) -> bool:
        """Take one packet from the transport that carries the session. After the end it is counted and discarded.

        True: no more is to be taken before `ready` returns.

        Raises:
            ProtocolError: if the client may not send it; the caller then ends the session.
        """
        application = self._application
        if application is None:
            if packet == packets.CLOSE:
                self.abort("client close")  # it does not wait for our close packet
            else:
                self.without_event()
            return False
        if isinstance(packet, bytes):
            return application.receive(packet, now)
        kind = packet[:1]
        if kind == packets.MESSAGE:
            return application.receive(packet[1:], now)
        if kind == packets.PONG:
            if not self._heartbeat.pong(now):
                self.without_event()
        elif kind == packets.CLOSE:
            self.abort("client close")
        elif kind == packets.NOOP:
            self.without_event()
        else:
            raise ProtocolError(f"a packet of type {kind!r}")
        return False

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next packets, as far as they are plain events."""
        if self._application is not None:
            self._application.receive_texts(turn)

    def attempted(self) -> bool:
        """Count an attempt (see `Limits.attempt_rate`). False: it was one too many, and the caller ends the client."""
        self._attempts_refilled_at = self._budgets.attempts.consume(self._attempts_refilled_at, time_source.monotonic())
        return self._attempts_refilled_at != math.inf

    def without_event(self) -> None:
        """Count a frame that carries no event (see `Limits.control_rate`). One too many closes the session."""
        self._control_refilled_at = self._budgets.control.consume(self._control_refilled_at, time_source.monotonic())
        if self._control_refilled_at == math.inf:
            self.too_much()

    def too_much(self) -> None:
        """End the session: its client sends too many frames without an event. If it is ending already: at once."""
        if self._state is State.OPEN:
            logger.info("%r ended: %s", self, TOO_MUCH_CONTROL)
            self.close(1008, TOO_MUCH_CONTROL)
        else:
            self.abort("transport error")

    async def ready(self) -> None:
        """Return once the application can take more. No heartbeat is missed until then: the pong may wait unread."""
        if self._application is not None:
            self.reading = False
            try:
                await self._application.ready()
            finally:
                self.reading = True

    def on_deadline(self, now: float) -> float | None:
        """Send a ping if it is due, or end the session if its pong is overdue. Returns when to call again."""
        if self._state is not State.OPEN:
            return None
        action = self._heartbeat.check(now, reading=self.reading)
        if action is HeartbeatAction.EXPIRED:
            self.abort("ping timeout")
            return None
        if action is HeartbeatAction.PING:
            self.push(_PING)
        return self._heartbeat.next_check(now)

    def expire(self, now: float) -> None:
        """End the session if its pong is overdue, without waiting for the timer."""
        if self._heartbeat.overdue(now) and self.reading:
            self.abort("ping timeout")

    # Long-polling

    def begin_poll(self, wake: Callable[[], None]) -> None:
        """Let a GET take what is queued; `wake` is called when there is something to answer.

        Raises:
            ProtocolError: if another GET waits, which ends the session (and answers that one).
        """
        if self._polling:
            self.fail("transport error")
            raise ProtocolError("two polls at once")
        self._polling = True
        self.outbox.wake = wake

    def poll(self) -> str | None:
        """The answer to the GET that waits. None: there is nothing to answer yet.

        To be called by the GET of a session that is still polling.
        """
        if self._state is State.CLOSED:
            return packets.NOOP if self._reason == "client close" else packets.CLOSE
        answer = [frame.polling for frame in self.outbox.take()]
        if answer:
            return packets.join_payload(answer)
        if self._state is State.CLOSING and not self.probed:
            self._end()
            self._signal()
            return packets.CLOSE
        return None

    def end_poll(self) -> None:
        """The GET is answered, or its client has gone."""
        self._polling = False
        if not self._websocket:
            self.outbox.wake = None

    def answer_poll(self) -> None:
        """Answer the GET that waits, also with nothing."""
        if self._polling and self.outbox.wake is not None:
            self.outbox.wake()

    def begin_post(self) -> None:
        """Let a POST bring packets.

        Raises:
            ProtocolError: if another POST is under way, which ends the session.
        """
        if self._posting:
            self.fail("transport error")
            raise ProtocolError("two POSTs at once")
        self._posting = True

    def end_post(self) -> None:
        """The POST is over."""
        self._posting = False

    # Upgrade. Polling carries the session until it is complete, so nothing is lost if it fails.

    def begin_upgrade(self) -> bool:
        """A WebSocket was opened for this session. False: it may not carry it."""
        if self._websocket or self._upgrading or self._state is State.CLOSED:
            return False
        self._upgrading = True
        return True

    def probe(self) -> None:
        """The WebSocket was probed: the GET that waits is answered, so that the client can stop polling."""
        self.probed = True
        self.answer_poll()

    def complete_upgrade(self) -> bool:
        """The client has stopped polling: the WebSocket carries the session. False if the session has ended."""
        self.abandon_upgrade()
        if self._state is State.CLOSED:
            return False
        self._websocket = True
        if self.outbox.wake is not None:
            self.outbox.wake()
            self.outbox.wake = None
        return True

    def abandon_upgrade(self) -> None:
        """The upgrade has failed. Polling continues."""
        self._upgrading = self.probed = False

    # For the lifecycle

    def on_ending(self) -> None:
        """See `SessionLifecycle`."""
        self._owner.session_ending(self)

    def on_ended(self, reason: str) -> None:
        """See `SessionLifecycle`."""
        self._owner.session_ended(self, reason)

    def on_failure(self, what: str, error: Exception) -> None:
        """See `SessionLifecycle`."""
        self._owner.session_failed(what, error)
