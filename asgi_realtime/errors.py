"""The exceptions of this package. Two kinds are for clients: a reply, and the end of the connection.

A `Refusal` is answered in the client's dialect and the connection is kept; a `Disconnect` ends the
connection with a code that says whether to reconnect. The others are for the host.
"""

from __future__ import annotations

from typing import ClassVar

from asgi_realtime.values.close_codes import check_close


class RealtimeError(Exception):
    """The base class of this package's errors."""


class ConfigurationError(RealtimeError):
    """A setting is missing or wrong. The message names the variable and what to do."""


class BrokerUnavailable(RealtimeError):
    """The broker did not answer in time.

    After a broadcast it is not known who received it. After `connection.join` the room was not entered.
    """


class PayloadTooLarge(RealtimeError):
    """A broadcast is larger than `Limits.publication_bytes`. It was not sent."""


class ProtocolError(RealtimeError):
    """The peer broke the protocol. Its session is closed. The text is for the log."""


class Refusal(RealtimeError):
    """A reply to one client: `code` is for programs, `message` for people. The connection is kept.

    Raise one (or a subclass) from a handler or an authenticator to refuse a client.
    """

    code: ClassVar[str] = "REFUSED"

    def __init__(self, message: str, *, code: str | None = None, log_reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.log_reason = log_reason
        """Why a client was refused, for the log. It is not sent to the client. It must not contain secrets."""
        self.reply_code = code or self.code
        self.data: object = {"code": self.reply_code}
        """What a refused Socket.IO CONNECT carries beside the message; None: nothing."""
        self.ending: tuple[int, str] | None = None
        """The close code and reason that the host asked for. None: the gateway's `close_code`, and the message."""

    @classmethod
    def ended(cls, code: int, reason: str) -> Refusal:
        """The refusal of a client whose connection the host closed before it was accepted."""
        refusal = cls(reason or "refused")
        refusal.data = {"code": code}
        refusal.ending = code, reason
        return refusal


class Unauthorized(Refusal):
    """No valid credential. The message is for the client, so it never says what was wrong with it.

    `log_reason` says it to the log: `raise Unauthorized(log_reason="no such device")`.
    """

    code = "UNAUTHORIZED"

    def __init__(self, message: str = "invalid credentials", *, log_reason: str = "") -> None:
        super().__init__(message, log_reason=log_reason)


class Forbidden(Refusal):
    """The credential is valid, but does not permit this."""

    code = "FORBIDDEN"


class InvalidMessage(Refusal):
    """A payload that does not fit the event's declaration."""

    code = "INVALID_MESSAGE"
    before_handler = False
    """Whether it was raised before the handler was called. Then it counts as an attempt (see `Limits.attempt_rate`)."""


class InvalidId(InvalidMessage, TypeError):
    """An id that is neither text, a number nor a UUID, or is empty. The message names the argument."""


class RateLimited(Refusal):
    """More events than the limit allows."""

    code = "RATE_LIMITED"


class TooLarge(Refusal):
    """A message is larger than its limit. Its sender is closed with 1009."""

    code = "TOO_LARGE"


class PositionLost(Refusal):
    """History does not have every event after the position asked for. The client must read a snapshot again.

    It no longer reaches back so far, it is another history, or the position is none.
    """

    code = "POSITION_LOST"


class Unavailable(Refusal):
    """Clients cannot be let in for a while. A Socket.IO client's transport is closed, so that it reconnects by itself.

    Stock clients do not connect again after a `connect_error`.
    """

    code = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error")


class NoAnswer(ConnectionError):
    """The client disconnected before it sent the acknowledgement."""


class Disconnect(RealtimeError):
    """End this connection. `code` is a WebSocket close code; a `reason` of over 123 bytes is cut at a character.

    Codes a client sees: 1000 normal, 1008 policy (authentication, limits), 1009 too large,
    1011 an internal failure, 1012 restart (come back), 1013 overloaded or too slow (come back later).

    Raises:
        ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        check_close("Disconnect()", code, reason)
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
