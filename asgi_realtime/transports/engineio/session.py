"""One Engine.IO session: heartbeat, upgrade and end, whichever transport carries it. No I/O, no clock of its own."""

from __future__ import annotations

import enum
import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import TOO_MUCH_CONTROL
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.engineio import packets
from asgi_realtime.protocols.engineio.heartbeat import Beat, Heartbeat
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.settings import Settings
from asgi_realtime.transports.engineio.application import Application
from asgi_realtime.transports.websocket_reader import Ending
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.text import repaired

logger = logging.getLogger("asgi_realtime")

_PING = Frame(packets.PING)

_FRAMING_BYTES = 16
"""Types and separators around the payload of a CONNECT."""

_CLOSE_CODES = {"too slow": 1013, "parse error": 1002, "transport error": 1011}
"""WebSocket close codes by the reason of an abort; 1000 for the others."""


class State(enum.Enum):
    """The life of a session."""

    OPEN = "open"
    CLOSING = "closing"
    """The application is told and nothing more is taken; the client has not yet got what was queued."""
    CLOSED = "closed"


class SessionOwner(Protocol):
    """Where a session is kept while it lives."""

    def closing(self, session: Session) -> None:
        """The session has begun to end. A polling client now has a limited time to fetch what is queued."""

    def closed(self, session: Session, reason: str) -> None:
        """The session has ended. Called exactly once."""


class Carrier(Protocol):
    """The WebSocket that carries a session, or is about to."""

    def end(self) -> None:
        """Close it as the session's `begin_close` says."""


class Session:
    """A client, known by its session id, over long-polling or a WebSocket.

    The transports tell it what came in and ask it what to write; every call that depends on time
    gets the time (seconds, monotonic). The application pushes frames and may end the session.
    """

    __slots__ = (
        "__weakref__",
        "_application",
        "_attempts_due",
        "_budgets",
        "_close",
        "_control_due",
        "_heartbeat",
        "_owner",
        "_polling",
        "_posting",
        "_reason",
        "_settings",
        "_state",
        "_upgrading",
        "_websocket",
        "carrier",
        "handshake",
        "id",
        "outbox",
        "probed",
        "reading",
    )

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
        self.id = id
        self.handshake = handshake
        self.outbox = Outbox(settings.limits.outbox_bytes, self)
        self.carrier: Carrier | None = None
        """The WebSocket of this session: ended when the session begins to end, during an upgrade when it has ended."""
        self.reading = True
        """Set by the transports: False while packets of the client may lie unread because we are busy."""
        self.probed = False
        """Whether a WebSocket of this session was probed: its client is waiting for polls to end."""
        self._settings = settings
        self._budgets = budgets
        self._attempts_due = self._control_due = 0.0
        self._application: Application | None = None
        self._owner = owner
        self._state = State.OPEN
        self._reason = ""
        self._close = (1000, "")
        self._websocket = websocket
        self._upgrading = False
        self._polling = False
        self._posting = False
        self._heartbeat = Heartbeat(settings.ping_interval, settings.ping_timeout, now)

    def __repr__(self) -> str:
        # The id is what a client proves itself with: it stays out of logs.
        return f"<Engine.IO session of {self.handshake.client_address} over {self.transport}, {self._state.value}>"

    @property
    def state(self) -> State:
        """Where in its life the session is."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether it has ended, and its client has got all that it will get."""
        return self._state is State.CLOSED

    @property
    def transport(self) -> str:
        """What carries the session now: `polling` or `websocket`."""
        return "websocket" if self._websocket else "polling"

    @property
    def close_code(self) -> tuple[int, str]:
        """The code and reason for the close of the WebSocket of a session that has ended."""
        return self._close

    @property
    def open_packet(self) -> str:
        """What the client is told at the start: the session id, and how the session is run."""
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

    # For the application

    def push(self, frame: Frame) -> None:
        """Queue a frame for the client. Never waits and never raises; forgotten once the session has ended."""
        self.outbox.push(frame)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session after what is queued. The application is told now, the client as soon as it reads.

        Code and reason are those of a WebSocket. A polling client gets what is queued by its next GET
        and a close packet by the one after it: stock clients act on a close packet before they hand
        on what is in the same payload. From now on nothing that the client sends is taken.
        """
        if self._state is State.OPEN:
            self._begin_to_end("forced close", code, reason, wait=True)

    def fail(self, reason: str, code: int | None = None) -> None:
        """End the session after what is queued, for what the client did or what failed here.

        See `Application.closed` for the reasons. With nothing queued the session ends at once.
        """
        if self._state is State.OPEN:
            self._begin_to_end(reason, _close_code(reason, code), reason, wait=False)

    def abort(self, reason: str, code: int | None = None) -> None:
        """End the session at once; what is queued is lost. See `Application.closed` for the reasons."""
        if self._state is State.CLOSED:
            return
        if self._state is State.OPEN:
            self._reason = reason
            self._close = (_close_code(reason, code), reason)
        self._end()
        self._signal()
        self._tell()

    # For the outbox

    def overflowed(self) -> None:
        """The client does not read. A polling client may still come for the close packet."""
        if self._websocket or self._state is not State.OPEN:
            self.abort("too slow")
        else:
            self._begin_to_end("too slow", _close_code("too slow"), "too slow", wait=True)

    # Its end

    def _begin_to_end(self, reason: str, code: int, text: str, *, wait: bool) -> None:
        """Let the application write its last frames, then nothing more. `wait`: for a client with nothing to fetch."""
        self._state = State.CLOSING
        self._reason = reason
        self._close = (code, repaired(text))
        self._tell()
        if self.over:  # the last frames were too much for the client
            return
        if wait or self.outbox:
            self.outbox.seal()
            self._owner.closing(self)
        else:
            self._end()
        self._signal()

    def _end(self) -> None:
        self._state = State.CLOSED
        self.outbox.close()
        self._owner.closed(self, self._reason)

    def _signal(self) -> None:
        if self.outbox.wake is not None:
            self.outbox.wake()
        # An upgrade under way goes on while the session is closing: a JavaScript client whose probe was
        # answered polls no more, so that it can be reached only by the WebSocket.
        if self.carrier is not None and (self._websocket or self._state is State.CLOSED):
            self.carrier.end()

    def _tell(self) -> None:
        application, self._application = self._application, None
        if application is None:
            return
        try:
            application.closed(self._reason)
        except Exception:
            # Often we are in the middle of a fan-out, which has no part in this.
            logger.exception("an application failed to close")

    # For the transports

    def start(self, application: Application) -> None:
        """Connect the application. If it ended the session while it was being made, it is told now."""
        self._application = application
        if self._state is not State.OPEN:
            self._tell()

    def receive(self, packet: str | bytes, now: float) -> bool:
        """Take one packet from the transport in charge. After the end: counts it, and forgets it.

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
            return application.receive(packet)
        kind = packet[:1]
        if kind == packets.MESSAGE:
            return application.receive(packet[1:])
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

    def attempted(self) -> bool:
        """Count an attempt (see `Limits.attempt_rate`). False: it was one too many, and the caller ends the client."""
        self._attempts_due = self._budgets.attempts.draw(self._attempts_due, time.monotonic())
        return self._attempts_due != math.inf

    def without_event(self) -> None:
        """Count a frame that carries no event (see `Limits.control_rate`). One too many closes the session."""
        self._control_due = self._budgets.control.draw(self._control_due, time.monotonic())
        if self._control_due == math.inf:
            self.too_much()

    def too_much(self) -> None:
        """End the session: its client sends too many frames without an event. If it goes on: at once."""
        if self._state is State.OPEN:
            logger.info("%r ended: %s", self, TOO_MUCH_CONTROL)
            self.close(1008, TOO_MUCH_CONTROL)
        else:
            self.abort("transport error")

    async def ready(self) -> None:
        """Return once the application can take more. Meanwhile no heartbeat is missed: the pong may lie unread."""
        if self._application is not None:
            self.reading = False
            try:
                await self._application.ready()
            finally:
                self.reading = True

    def due(self, now: float) -> float | None:
        """Do what time demands: send a ping, or end the session for want of a pong. Returns when to ask again."""
        if self._state is not State.OPEN:
            return None
        beat = self._heartbeat.check(now, reading=self.reading)
        if beat is Beat.EXPIRED:
            self.abort("ping timeout")
            return None
        if beat is Beat.PING:
            self.push(_PING)
        return self._heartbeat.next_check(now)

    def expire(self, now: float) -> None:
        """End the session if its pong is overdue, without waiting for the timer's turn."""
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
        """What there is to answer the GET that began with; None: nothing.

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

    # Upgrade. Until it is complete polling stays in charge, so that giving it up loses nothing.

    def begin_upgrade(self) -> bool:
        """A WebSocket was opened for this session. False when it may not have one."""
        if self._websocket or self._upgrading or self._state is State.CLOSED:
            return False
        self._upgrading = True
        return True

    def probe(self) -> None:
        """The WebSocket was probed: the GET that waits is answered, so that the client can stop polling."""
        self.probed = True
        if self.outbox.wake is not None:
            self.outbox.wake()

    def complete_upgrade(self) -> bool:
        """The client has stopped polling: the WebSocket is in charge. False when the session ended meanwhile."""
        self.abandon_upgrade()
        if self._state is State.CLOSED:
            return False
        self._websocket = True
        if self.outbox.wake is not None:
            self.outbox.wake()
            self.outbox.wake = None
        return True

    def abandon_upgrade(self) -> None:
        """The WebSocket came to nothing; polling goes on."""
        self._upgrading = self.probed = False

    # WebSocket: see `WebSocketReader`

    authenticating = False
    """A WebSocket's session is open from the start: its namespaces authenticate beside it."""

    def carried(self, carrier: Carrier) -> None:
        """The WebSocket carries the session from now on."""
        self.carrier = carrier
        if self._state is not State.OPEN:
            carrier.end()

    def too_large(self, message: str | bytes) -> None:
        """End the session: a message is over `message_bytes`."""
        self.fail("transport error", 1009)

    def violated(self, error: ProtocolError) -> None:
        """End the session: the client broke the protocol."""
        logger.info("%r ended: %s", self, error)
        self.fail("parse error")

    def failed(self) -> None:
        """End the session: the application failed to receive a message."""
        self.fail("transport error")

    def begin_close(self) -> Ending:
        """How the WebSocket is closed."""
        return Ending(*self._close, flush=self._state is State.CLOSING)

    def ended(self) -> None:
        """Nothing is left of the WebSocket, so nothing is left of the session."""
        self.carrier = None
        self.abort("transport close")


def _close_code(reason: str, code: int | None = None) -> int:
    return _CLOSE_CODES.get(reason, 1000) if code is None else code
