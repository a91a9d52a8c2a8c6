"""The server's side of a JSON gateway's client: a connection's transport, and the reader of a WebSocket."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple, Protocol

from msgspec import UNSET
from starlette.types import Receive, Send

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.errors import InvalidMessage, ProtocolError, Refusal, TooLarge, Unauthorized
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.limits import TOO_MUCH_CONTROL, Limits
from asgi_realtime.outbound.frames_extension import FrameTransport
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.rfc6455.frames import ABNORMAL
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.budgets import Budget, Budgets
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.transports.json_websocket.auth_deadlines import AuthDeadlines
from asgi_realtime.transports.json_websocket.authentication import Authentication
from asgi_realtime.transports.json_websocket.idle_timeout import IdleTimeout
from asgi_realtime.transports.websocket_carrier import CarrierOptions, WebSocketCarrier
from asgi_realtime.transports.websocket_reader import Ending
from asgi_realtime.values.close_codes import TOO_SLOW, check_close
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import repaired

logger = logging.getLogger("asgi_realtime")


class _End(NamedTuple):
    """How a client is ended here."""

    code: int
    reason: str
    ended_by: str
    """The reason for the gateway; see `ConnectionLifecycle.disconnected`."""


_GONE: Final = "transport close"
_VANISHED: Final = _End(ABNORMAL, "", _GONE)


class PeerOwner(Protocol):
    """What the clients of one gateway share."""

    gateway: WebSocketGateway
    context: GatewayContext
    limits: Limits
    budgets: Budgets
    auth_deadlines: AuthDeadlines
    carrier_options: CarrierOptions

    def peer_ended(self, peer: JSONPeer) -> None:
        """Nothing is left of a client's WebSocket. Called once for each."""


class JSONPeer:
    """One client of a JSON gateway. The gateway decides which frames are sent and accepted.

    The token comes with the handshake, or in a first `auth` frame within the gateway's `auth_timeout`.
    """

    __slots__ = (
        "_attempts_refilled_at",
        "_authentication",
        "_carrier",
        "_connection",
        "_end",
        "_idle_timeout",
        "_owner",
        "address",
        "outbox",
    )

    def __init__(
        self, owner: PeerOwner, handshake: Handshake, receive: Receive, send: Send, frames: FrameTransport | None
    ) -> None:
        """Take an accepted WebSocket. `frames` is what the server offers for it."""
        self.address = handshake.client_address
        self.outbox = Outbox(owner.limits.outbox_bytes, self)
        self._owner = owner
        self._attempts_refilled_at = 0.0
        self._authentication: Authentication | None = Authentication(owner.gateway, handshake)
        self._connection: InternalConnection | None = None
        self._idle_timeout: IdleTimeout | None = None
        self._end: _End | None = None
        self._carrier: WebSocketCarrier | None = WebSocketCarrier(self, receive, send, owner.carrier_options, frames)

    def serve(self) -> Awaitable[None]:
        """Begin to serve the client. What is returned waits for its end, or until the server's callbacks take over."""
        owner = self._owner
        assert self._authentication is not None and self._carrier is not None
        if not self._authentication.has_token:
            owner.auth_deadlines.add(self)
        seconds = owner.gateway.idle_timeout
        if seconds is not None:
            self._idle_timeout = IdleTimeout(self, seconds, owner.context.wheel)
        return self._carrier.serve()

    def stop(self) -> None:
        """The server stops: close with 1012, so that the client reconnects."""
        self._finish(1012, "server restart", "forced close")

    # For the connection: see `connection.contracts.Transport`

    kind = "websocket"
    """See `Transport.kind`."""

    @property
    def answered_at(self) -> float | None:
        """Not known: a JSON WebSocket has no pings of this package's own."""
        return None

    def abandon(self) -> None:
        """The client has come back on another WebSocket: end this one. What waits is not written."""
        self._finish(1000, "", _GONE)
        self._leave()
        self.outbox.close()

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket after what is queued. Before the client is let in, the gateway refuses it instead."""
        if self._connection is not None:
            self._finish(code, reason, TOO_SLOW if (code, reason) == (1013, TOO_SLOW) else "forced close")

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt. False: it was one too many."""
        self._attempts_refilled_at = budget.consume(self._attempts_refilled_at, time_source.monotonic())
        return self._attempts_refilled_at != math.inf

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """JSON frames have no acknowledgements."""
        raise TypeError(
            f"call({event!r}): a JSON WebSocket has no acknowledgements; send an event and handle its answer"
        )

    def accept(self, connection: InternalConnection) -> Frame | None:
        """The client is accepted."""
        self._connection = self.outbox.sink_listener = connection
        return self._owner.gateway.accepted_frame(connection.public)

    # For the carrier: see `WebSocketReader`

    @property
    def authenticating(self) -> bool:
        """Whether the client is not let in yet."""
        return self._connection is None

    @property
    def message_bytes(self) -> int:
        """Largest message that the client may send now."""
        limits = self._owner.limits
        return min(limits.message_bytes, limits.handshake_bytes) if self._connection is None else limits.message_bytes

    def receive(self, message: str | bytes, now: float) -> bool:
        """Take one message. True: no more before `ready` returns. After the end it is dropped.

        Raises:
            ProtocolError: if it is no frame of the gateway's dialect.
        """
        if self._end is not None:
            return False
        if self._idle_timeout is not None:
            self._idle_timeout.restart()
        if not isinstance(message, str):
            self._hostile(InvalidMessage("a binary frame"), "parse error")
            return False
        owner, connection = self._owner, self._connection
        gateway = owner.gateway
        kind, data = gateway.wire.read(message, owner.limits)
        if connection is None:
            return self._receive_early(kind, data)
        sent = [] if data is UNSET else [data]
        if kind != "ping":
            return gateway.receive(connection, kind, sent, None, now)
        if gateway.admits(connection, kind, sent, None, now):
            self.outbox.push(self._pong(connection))
        return False

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next frames, as far as they are plain events."""
        connection, plain_events = self._connection, self._owner.gateway.plain_events
        if connection is not None and self._end is None and plain_events is not None:
            if self._idle_timeout is not None:
                self._idle_timeout.restart()
            plain_events.receive(connection, turn, None)

    def _pong(self, connection: InternalConnection) -> Frame:
        """The answer to `ping`, with a position: so a client that gets no events has one that history still has."""
        frame, positions = self._owner.gateway.pong_frame(), connection.positions
        if positions is None or connection.held:
            return frame
        connection.flush()  # everything up to this position is written before it
        return positions.gateway.dialect.with_position(frame, positions.gateway.newest)

    def _receive_early(self, kind: str, data: Json) -> bool:
        """Take a frame of a client that is not let in yet. True: it has a token now."""
        owner, authentication = self._owner, self._authentication
        assert authentication is not None
        if not self.attempted(owner.budgets.attempts):
            self._hostile(Unauthorized("authenticate first"), "parse error")
            return False
        answer = authentication.receive(owner.gateway, kind, data)
        if answer is not None:
            self.outbox.push(answer)
        if authentication.has_token:
            owner.auth_deadlines.discard(self)
        return authentication.has_token

    async def ready(self) -> None:
        """Accept the client if it has just sent a token. Then wait while its inbox is full."""
        idle_timeout, authentication = self._idle_timeout, self._authentication
        if idle_timeout is not None:
            idle_timeout.pause()
        if authentication is not None and authentication.has_token:
            self._authentication = None
            try:
                await self._owner.gateway.open(authentication.handshake, self)
            except Refusal as refusal:
                self._reject(refusal)
        if self._connection is not None:
            await self._connection.inbox.ready()
        if idle_timeout is not None:
            idle_timeout.restart()

    def too_large(self, message: str | bytes) -> None:
        """A message is too large."""
        if isinstance(message, str):
            self._hostile(TooLarge("too large"), "transport error")
        else:
            self._hostile(InvalidMessage("a binary frame"), "parse error")

    def violated(self, error: ProtocolError) -> None:
        """A message is no frame of the gateway's dialect."""
        self._hostile(InvalidMessage(str(error)), "parse error")

    def failed(self) -> None:
        """A message could not be handled, for a failure here."""
        self._finish(1011, "", "transport error")

    def too_much(self) -> None:
        """The client sends too many frames without an event."""
        name = self._owner.gateway.name
        logger.info("%s: a client is closed: %s", name, TOO_MUCH_CONTROL, extra=self._log_fields())
        if self._connection is not None:
            self._connection.end(1008, TOO_MUCH_CONTROL)
        else:
            self._finish(1008, TOO_MUCH_CONTROL, "forced close")

    def begin_close(self) -> Ending:
        """End the connection, and return how to close."""
        self._leave()
        end = self._end or _End(1000, "", _GONE)
        # An outbox that overflowed is sealed and empty, and nothing waits for its client.
        return Ending(end.code, end.reason, flush=not self.outbox.sealed)

    def websocket_ended(self) -> None:
        """Remove the client."""
        self._leave()
        if self._end is None:
            self._end = _VANISHED
        self._owner.auth_deadlines.discard(self)
        self.outbox.close()
        self._authentication = self._carrier = self._idle_timeout = None
        self._owner.peer_ended(self)

    # How it ends

    def on_token_deadline(self) -> None:
        """The time for the first `auth` frame is over."""
        if self._authentication is not None and not self._authentication.has_token and self._end is None:
            self._owner.context.refusals.refused(self._owner.gateway.name, "no auth frame in time")
            self._reject(Unauthorized("authentication timed out"))

    def on_idle_timeout(self) -> None:
        """The client was silent for too long."""
        self._finish(1000, "idle", "idle")

    def overflowed(self) -> None:
        """The client reads too slowly."""
        self._finish(1013, TOO_SLOW, TOO_SLOW)
        if self._connection is not None:
            self._connection.end(1013, TOO_SLOW)

    def _reject(self, refusal: Refusal) -> None:
        """Send the client why it is refused, and close."""
        answer = self._owner.gateway.rejected_frame(refusal)
        if answer is not None:
            self.outbox.push(answer)
        code, reason = refusal.ending or (self._close_code(refusal), refusal.message)
        self._finish(code, reason, "forced close")

    def _hostile(self, refusal: Refusal, ended_by: str) -> None:
        """Answer a message that no client of the dialect sends, and close."""
        if self._end is not None:
            return
        gateway = self._owner.gateway
        if self._connection is None:
            self._owner.context.refusals.refused(gateway.name, f"before authentication: {refusal.message}")
        else:
            extra = self._log_fields()
            logger.info("%s: a client broke the protocol: %s", gateway.name, refusal.message, extra=extra)
        self.outbox.push(gateway.error_frame(refusal, None))
        self._finish(self._close_code(refusal), refusal.message, ended_by)

    def _close_code(self, refusal: Refusal) -> int:
        """The gateway's close code. If it may not be sent: 1008, and an error in the log."""
        gateway = self._owner.gateway
        code = gateway.close_code(refusal)
        try:
            check_close(f"{type(gateway).__name__}.close_code({refusal!r})", code, "")
        except (TypeError, ValueError) as error:
            failures = self._owner.carrier_options.tasks.failures
            failures.failed(gateway.name, "a client was closed with 1008", error, traceback=False)
            return 1008
        return code

    def _log_fields(self) -> dict[str, str]:
        return log_fields(self._owner.gateway.name, connection=self._connection)

    def _finish(self, code: int, reason: str, ended_by: str) -> None:
        if self._end is None:
            self._end = _End(code, repaired(reason), ended_by)
            assert self._carrier is not None
            self._carrier.end()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._owner.gateway.disconnected(connection, _GONE if self._end is None else self._end.ended_by)
