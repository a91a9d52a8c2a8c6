"""Every bound on what a client, or a host, can make this process hold."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Final

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.values.field_types import check_fields
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
    """Lists and objects in one message of a client; of numbers with an exponent, if there are many, each counts as two
    of them (see "What one message may hold" in the page on concepts). Over: closed."""
    publication_bytes: int = 4_000_000
    """Largest broadcast payload, in bytes. Over: `PayloadTooLarge` at the publisher."""
    outbox_bytes: int = 1_048_576
    """What may wait for a client that is not reading, in bytes. Over: closed with 1013."""
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
    """Acks one connection may owe us; the oldest is given up first."""
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
    """Seconds in which the next bytes of a POST must come. Over: HTTP 400, and its session ends."""
    body_rate: float = 1_000.0
    """Bytes per second at which the body of a POST must come on average, beyond `body_timeout`. Slower: HTTP 400, and
    its session ends."""
    attempt_rate: float = 20.0
    """Attempts per second of one transport, on average: CONNECTs, `auth` frames and tokens to refresh (good or bad),
    frames before authentication, and events that the server itself refuses (over their rate, of an unknown name, or
    with a payload that does not fit). Over: closed with 1008."""
    attempt_burst: int = 200
    """Attempts one transport may make at once. Over: closed with 1008."""
    control_rate: float = 100.0
    """Frames without an event per second of one transport, on average: WebSocket pings and pongs, fragments under
    64 bytes, Engine.IO pongs and noops that were not asked for, acks that nothing waits for, and packets to a namespace
    that is closed. Over: closed with 1008."""
    control_burst: int = 1_000
    """Frames without an event one transport may send at once. Over: closed with 1008."""
    events_in_flight: int = 64
    """Events of one connection that may wait for their handler. Then reading pauses."""
    events_behind_call: int = 1_000
    """Events of one connection that may wait beyond these while the client is asked for an acknowledgement, of
    `MEW_MESSAGE_BYTES` together: its transport is read on, so that the answer is found. Over: `RATE_LIMITED`."""
    handler_timeout: float = 30.0
    """Seconds a handler or service call may take. Over: cancelled and answered as a failure."""
    connect_timeout: float = 20.0
    """Seconds a client may take from opening a transport to a finished CONNECT. Over: closed."""
    connections_per_user: int = 100
    """Connections of one user to one gateway of this process. Over: connect_error."""
    sessions_per_address: int = 10_000
    """Transports open from one client address (a proxy's, if the server is not told to trust it). Over: HTTP 503, or
    for a JSON WebSocket closed with 1013."""
    sessions: int = 100_000
    """Transports open in this process (for a JSON WebSocket: on its gateway). Over: HTTP 503, or closed with 1013."""
    handshake_bytes: int = 16_384
    """Largest authentication payload of a CONNECT, or frame before authentication, in bytes. Over: closed."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"MEW_{name.upper()}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ConfigurationError(f"MEW_{field.name.upper()} must be a finite number greater than 0")


def room_text(room: object, limits: Limits, argument: str = "room") -> str:
    """The name of a room as text; see `id_text`. `argument` is the name that an error says.

    Raises:
        InvalidMessage: for a name over the limit, or with control characters.
        InvalidId: for a name that is no id.
    """
    name = id_text(room, argument)
    check_room_name(name, limits)
    return name


def check_room_name(room: object, limits: Limits) -> None:
    """Refuse a room name no host means: empty, too long, with control characters, or with damaged ones (U+FFFD).

    Raises:
        InvalidMessage: with a message that says which.
    """
    if not isinstance(room, str) or not room:
        raise InvalidMessage("a room name is a non-empty string")
    if is_longer(room, limits.room_name_bytes):
        raise InvalidMessage(f"a room name has at most {limits.room_name_bytes} bytes")
    if _NOT_IN_NAMES.search(room):
        raise InvalidMessage("a room name has no control characters, and no U+FFFD or half a surrogate pair")
