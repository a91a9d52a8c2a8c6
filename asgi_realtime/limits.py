"""Bounds on what clients and host code can make this process hold."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.values.field_types import MOST_SECONDS, check_fields, is_positive
from asgi_realtime.values.ids import id_text
from asgi_realtime.values.text import is_longer

TOO_MANY_ATTEMPTS: Final = "too many attempts"
"""The reason of a close with 1008 for the budget of attempts."""
TOO_MUCH_CONTROL: Final = "too many frames without an event"
"""The same for the budget of control frames."""

# U+FFFD stands for half a surrogate pair in what clients send: two names that differ in it must not become one.
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds, each with its unit, default and consequence. A gateway may have its own.

    Every field is also an environment variable: `MEW_` and the field's name in capitals.

    Raises:
        ConfigurationError: for a bound that is not a finite number above 0, with the variable's name.
    """

    message_bytes: int = 1_000_000
    """Largest message (attachments included) or POST a client may send, in bytes. Over: 1009, or HTTP 413."""
    message_parts: int = 50_000
    """Lists and objects in one message of a client. Numbers with an exponent count as two each, if there are many. See
    the page on concepts. Over: closed."""
    publication_bytes: int = 4_000_000
    """Largest broadcast payload, in bytes. Over: `PayloadTooLarge` at the publisher."""
    outbox_bytes: int = 1_048_576
    """Bytes that may wait for a client that does not read. Over: closed with 1013."""
    attachments: int = 10
    """Binary attachments in one Socket.IO packet. Over: closed."""
    event_name_bytes: int = 200
    """Longest event name, in bytes. Over: closed; in a broadcast `ValueError`."""
    room_name_bytes: int = 200
    """Longest room name, in bytes. Over: `InvalidMessage`."""
    rooms_per_connection: int = 10_000
    """Rooms one connection may be in. Over: `InvalidMessage`."""
    namespaces_per_session: int = 16
    """Socket.IO namespaces one transport may be connected to. Over: connect_error."""
    pending_acks: int = 1_000
    """Acknowledgements that one connection may leave unanswered. Over: the oldest is no longer awaited."""
    event_rate: float = 200.0
    """Events per second one connection may send, on average. Over: `RATE_LIMITED`."""
    event_burst: int = 1_000
    """Events one connection may send at once. Over: `RATE_LIMITED`."""
    user_event_rate: float = 400.0
    """Events per second that all connections of one user to one gateway of this process may send together,
    on average. Over: `RATE_LIMITED`."""
    user_event_burst: int = 2_000
    """Events that all connections of one user to one gateway may send at once. Over: `RATE_LIMITED`."""
    body_timeout: float = 10.0
    """Seconds a client may pause within a POST. Over: HTTP 400, and its session ends."""
    body_rate: float = 1_000.0
    """Bytes per second that a POST must reach on average, after the first `MEW_BODY_TIMEOUT` seconds. Slower: HTTP 400,
    and its session ends."""
    attempt_rate: float = 20.0
    """Attempts per second of one transport, on average. Attempts are CONNECTs, `auth` frames and token refreshes (valid
    or not), frames before authentication, and events that the server refuses (over the rate, unknown, or with an
    invalid payload). Over: closed with 1008."""
    attempt_burst: int = 200
    """Attempts one transport may make at once. Over: closed with 1008."""
    control_rate: float = 100.0
    """Frames without an event per second of one transport, on average. These are WebSocket pings and pongs, fragments
    under 64 bytes, unexpected Engine.IO pongs and noops, unexpected acknowledgements, and packets to a closed
    namespace. Over: closed with 1008."""
    control_burst: int = 1_000
    """Frames without an event one transport may send at once. Over: closed with 1008."""
    events_in_flight: int = 64
    """Events of one connection that may wait for their handler. Over: reading from the client pauses."""
    events_behind_call: int = 1_000
    """Further events that may wait while the server awaits an acknowledgement of the client, of `MEW_MESSAGE_BYTES`
    together. Reading continues during that time, so that the acknowledgement is found. Over: `RATE_LIMITED`."""
    event_id_bytes: int = 200
    """Longest id of an event for a handler with `once`, in bytes. Over: `InvalidMessage`."""
    once_ttl: float = 300.0
    """Seconds for which the answer of a handler with `once` is kept. Over: the same id is a new event."""
    once_answers: int = 1_000
    """Such answers that are kept for one user of a gateway. Over: the oldest is removed, and its id is a new event."""
    once_bytes: int = 1_000_000
    """Bytes of such answers that are kept for one user of a gateway. Over: the oldest is removed."""
    handler_timeout: float = 30.0
    """Seconds a handler or service call may take. Over: cancelled and answered as a failure."""
    connect_timeout: float = 20.0
    """Seconds a client may take from opening a transport to a finished CONNECT. Over: closed."""
    connections_per_user: int = 100
    """Connections of one user to one gateway, at all processes together. Over: connect_error."""
    sessions_per_address: int = 10_000
    """Open transports of one client address (the proxy's, unless the server trusts the proxy). Over: HTTP 503, or
    for a JSON WebSocket closed with 1013."""
    sessions: int = 100_000
    """Open transports of this process (for a JSON WebSocket: of its gateway). Over: HTTP 503, or closed with 1013."""
    handshake_bytes: int = 16_384
    """Largest authentication payload of a CONNECT, or frame before authentication, in bytes. Over: closed."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"MEW_{name.upper()}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not is_positive(value):
                raise ConfigurationError(f"MEW_{field.name.upper()} must be a finite number greater than 0")
            if field.name.endswith(("_timeout", "_ttl")) and value > MOST_SECONDS:
                raise ConfigurationError(f"MEW_{field.name.upper()} must be at most {MOST_SECONDS:.0f} seconds")


def room_text(room: object, limits: Limits, argument: str = "room") -> str:
    """The name of a room as text; see `id_text`. `argument` is the name used in errors.

    Raises:
        InvalidMessage: for a name over the limit, or with control characters.
        InvalidId: for a name that is no id.
    """
    name = id_text(room, argument)
    check_room_name(name, limits)
    return name


def check_room_name(room: object, limits: Limits) -> None:
    """Refuse a room name that is empty, too long, or has control characters or U+FFFD.

    Raises:
        InvalidMessage: with a message that says which.
    """
    if not isinstance(room, str) or not room:
        raise InvalidMessage("a room name is a non-empty string")
    if is_longer(room, limits.room_name_bytes):
        raise InvalidMessage(f"a room name has at most {limits.room_name_bytes} bytes")
    if _NOT_IN_NAMES.search(room):
        raise InvalidMessage("a room name has no control characters, and no U+FFFD or half a surrogate pair")
