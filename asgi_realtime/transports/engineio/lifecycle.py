"""How an Engine.IO session ends: open, closing, closed."""

from __future__ import annotations

import enum
import logging
from typing import Protocol

from asgi_realtime.errors import ProtocolError
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.transports.engineio.application import Application
from asgi_realtime.transports.websocket_reader import Ending
from asgi_realtime.values.text import repaired

logger = logging.getLogger("asgi_realtime")

_CLOSE_CODES = {"too slow": 1013, "parse error": 1002, "transport error": 1011}
"""WebSocket close codes by the reason of an abort; 1000 for the others."""


class State(enum.Enum):
    """The life of a session."""

    OPEN = "open"
    CLOSING = "closing"
    """The application was notified, and nothing more is received. Queued frames are still to be sent."""
    CLOSED = "closed"


class Carrier(Protocol):
    """The WebSocket that carries a session, or probes it."""

    def end(self) -> None:
        """Close it as the session's `begin_close` says."""


class SessionLifecycle:
    """The state of a session, its application, and the ways to end both.

    What is queued when a session begins to end is still written: by the WebSocket that carries it, or in the answers
    to the client's polls.
    """

    __slots__ = ("_application", "_close", "_reason", "_state", "_websocket", "carrier", "outbox")

    def __init__(self, outbox_bytes: int, *, websocket: bool) -> None:
        self.outbox = Outbox(outbox_bytes, self)
        self.carrier: Carrier | None = None
        """Its WebSocket. It is ended when the session begins to end; during an upgrade, when the session has ended."""
        self._application: Application | None = None
        self._state = State.OPEN
        self._reason = ""
        self._close = (1000, "")
        self._websocket = websocket

    @property
    def state(self) -> State:
        """Where in its life the session is."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether it has ended, and nothing more is sent."""
        return self._state is State.CLOSED

    @property
    def close_code(self) -> tuple[int, str]:
        """The code and reason for the close of the WebSocket of a session that has ended."""
        return self._close

    def start(self, application: Application) -> None:
        """Connect the application. If it has ended the session while it was made, it is notified now."""
        self._application = application
        if self._state is not State.OPEN:
            self._notify_application()

    # For the application

    def push(self, frame: Frame) -> None:
        """Queue a frame for the client. Never waits and never raises. Dropped once the session has ended."""
        self.outbox.push(frame)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session after what is queued. The application is notified now, the client when it reads.

        Code and reason are those of a WebSocket. A polling client gets what is queued by its next GET
        and a close packet by the one after it: stock clients act on a close packet before they
        process the rest of the same payload. From now on nothing that the client sends is taken.
        """
        if self._state is State.OPEN:
            self._begin_to_end("forced close", code, reason, wait=True)

    def stop(self) -> None:
        """The server stops: close with 1012, so that the client reconnects."""
        self.close(1012, "server restart")

    def fail(self, reason: str, code: int | None = None) -> None:
        """End the session after what is queued, for what the client did or what failed here.

        See `Application.session_ended` for the reasons. With nothing queued the session ends at once.
        """
        if self._state is State.OPEN:
            self._begin_to_end(reason, _close_code(reason, code), reason, wait=False)

    def abort(self, reason: str, code: int | None = None) -> None:
        """End the session at once; what is queued is lost. See `Application.session_ended` for the reasons."""
        if self._state is State.CLOSED:
            return
        if self._state is State.OPEN:
            self._reason = reason
            self._close = (_close_code(reason, code), reason)
        self._end()
        self._signal()
        self._notify_application()

    # For the outbox

    def overflowed(self) -> None:
        """The client does not read. A polling client may still come for the close packet."""
        if self._websocket or self._state is not State.OPEN:
            self.abort("too slow")
        else:
            self._begin_to_end("too slow", _close_code("too slow"), "too slow", wait=True)

    # For the WebSocket that carries it: see `WebSocketReader`

    def carried(self, carrier: Carrier) -> None:
        """The WebSocket carries the session from now on."""
        self.carrier = carrier
        if self._state is not State.OPEN:
            carrier.end()

    def too_large(self, message: str | bytes) -> None:
        """End the session: a message is over the limit."""
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

    def websocket_ended(self) -> None:
        """Nothing is left of the WebSocket, so nothing is left of the session."""
        self.carrier = None
        self.abort("transport close")

    # For subclasses

    def on_ending(self) -> None:
        """The session has begun to end, and queued frames are still to be sent."""

    def on_ended(self, reason: str) -> None:
        """The session has ended. Called exactly once."""

    def on_failure(self, what: str, error: Exception) -> None:
        """The application has failed: log it."""

    def _begin_to_end(self, reason: str, code: int, text: str, *, wait: bool) -> None:
        """Let the application write its last frames, and no more. `wait`: also for a client without queued frames."""
        self._state = State.CLOSING
        self._reason = reason
        self._close = (code, repaired(text))
        self._notify_application()
        if self.over:  # the last frames were too much for the client
            return
        if wait or self.outbox:
            self.outbox.seal()
            self.on_ending()
        else:
            self._end()
        self._signal()

    def _end(self) -> None:
        self._state = State.CLOSED
        self.outbox.close()
        self.on_ended(self._reason)

    def _signal(self) -> None:
        if self.outbox.wake is not None:
            self.outbox.wake()
        # An upgrade under way continues while the session is closing: a JavaScript client whose probe was
        # answered polls no more, so that it can be reached only by the WebSocket.
        if self.carrier is not None and (self._websocket or self._state is State.CLOSED):
            self.carrier.end()

    def _notify_application(self) -> None:
        application, self._application = self._application, None
        if application is None:
            return
        try:
            application.session_ended(self._reason)
        except Exception as error:
            # This is often called within a fan-out, which must continue.
            self.on_failure("an application failed to close", error)


def _close_code(reason: str, code: int | None = None) -> int:
    return _CLOSE_CODES.get(reason, 1000) if code is None else code
