"""The values that travel between the floors: ids, handshakes, publications, commands, frames.

Nothing here does I/O or knows a protocol. Everything but `Frame` (which caches its own encodings)
is frozen, so it can be shared by any number of recipients.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NewType, TypeAlias

import msgspec

from asgi_realtime.field_types import is_number
from asgi_realtime.ids import Id, put_texts
from asgi_realtime.rfc6455.deflate import COMPRESSED_FROM, deflate
from asgi_realtime.rfc6455.frames import encode

UserId = NewType("UserId", str)
RoomName = NewType("RoomName", str)
ConnectionId = NewType("ConnectionId", str)
GatewayName = NewType("GatewayName", str)
"""A Socket.IO namespace (`/infra`) or a WebSocket path (`/chat`): what a gateway is mounted as."""
Position = NewType("Position", str)
"""An opaque place in a broker's history."""

Json: TypeAlias = Any
"""A decoded JSON value, with `bytes` where a Socket.IO attachment was. It must be validated before use."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a connection belongs to: what an authenticator returns.

    `claims` are the verified claims of the token; `expires_at` is in seconds since the epoch, or
    None for a credential that does not expire.
    """

    user_id: UserId
    """As text: a number or a UUID that was given is turned into it."""
    claims: Mapping[str, Json] = {}
    expires_at: float | None = None

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(
            self, *, user_id: Id, claims: Mapping[str, Json] = {}, expires_at: float | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        put_texts(self, "user_id")
        claims, expires_at = self.claims, self.expires_at
        if type(claims) is not dict and not isinstance(claims, Mapping):
            raise TypeError(f"claims must be a mapping, not {type(claims).__qualname__}")
        if expires_at is not None and not _is_time(expires_at):
            remedy = "; write expires_at.timestamp()" if hasattr(expires_at, "timestamp") else ""
            raise TypeError(
                f"expires_at must be a number of seconds since the epoch, or None, not {_shown(expires_at)}{remedy}"
            )


def _is_time(value: object) -> bool:
    """Whether a clock can be compared with it: not with NaN, or with an int that no float can hold."""
    try:
        return is_number(value) and not math.isnan(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    return str(value)[:20] if isinstance(value, int | float) else type(value).__qualname__


NOTHING: Mapping[str, str] = MappingProxyType({})
"""No headers, no cookies, no query: one for all."""


_BROWSER_SCHEMES = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes of `Authorization` whose credentials a browser keeps and sends by itself."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client presented when it asked to connect.

    `headers` are lower-cased names; of a repeated header the last wins, as in HTTP libraries for
    Python. (A request that repeats `Origin`, `Host`, `Authorization` or `X-Mew-Admin-Secret` is
    refused.) `cookies` are empty for a page of another origin that is let in only because any page is.
    `auth` is the payload of a Socket.IO CONNECT, or the `data` of a JSON `auth` frame. `scheme` is how
    the server was reached: `http` or `ws`, with an `s` where there was TLS.
    """

    # `gc=False`: it is in no cycle, and 16 bytes smaller.
    gateway: GatewayName
    path: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    cookies: Mapping[str, str] = {}
    auth: Json = None
    client_address: str | None = None
    scheme: str = "http"

    def __repr__(self) -> str:
        # Headers, cookies, query and auth hold credentials, which must not get into a log by accident.
        return f"Handshake(gateway={self.gateway!r}, path={self.path!r}, client_address={self.client_address!r})"

    def without_credentials(self) -> Handshake:
        """What is kept of it once the client is in: not the headers, the cookies and `auth`."""
        return msgspec.structs.replace(self, headers=NOTHING, cookies=NOTHING, query=self.query or NOTHING, auth=None)

    def without_browser_credentials(self) -> Handshake:
        """The handshake without cookies and HTTP authentication, which a browser adds to what any page sends.

        A bearer token in `Authorization` stays: only a script that has it can send it.
        """
        dropped = {"cookie"}
        if self.headers.get("authorization", "").partition(" ")[0].lower() in _BROWSER_SCHEMES:
            dropped.add("authorization")
        headers = {name: value for name, value in self.headers.items() if name not in dropped}
        return msgspec.structs.replace(self, headers=headers, cookies=NOTHING)

    @property
    def origin(self) -> str | None:
        """The `Origin` header, or None for a client that is not a browser."""
        return self.headers.get("origin")


class ToRoom(msgspec.Struct, frozen=True, tag="room"):
    """Everybody in a room of the gateway."""

    room: RoomName


class ToUsers(msgspec.Struct, frozen=True, tag="users"):
    """Every connection of some users: their personal rooms, a key space no client can name."""

    user_ids: tuple[UserId, ...]


class ToAll(msgspec.Struct, frozen=True, tag="all"):
    """Every connection of the gateway."""


Target: TypeAlias = ToRoom | ToUsers | ToAll


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to its recipients. The payload was encoded once, by the publisher.

    `payload` is JSON (empty: the event has no payload). Where the payload held `bytes`,
    `attachments` has them and the JSON has Socket.IO placeholders in their places. `except_` names
    connections that are left out. A volatile publication skips history and may be dropped for a
    client that is behind.
    """

    gateway: GatewayName
    target: Target
    event: str
    payload: bytes = b""
    attachments: tuple[bytes, ...] = ()
    except_: tuple[ConnectionId, ...] = ()
    volatile: bool = False
    position: Position | None = None


class AddToRoom(msgspec.Struct, frozen=True, tag="add"):
    """Put every connection of a user into a room (below `parent`, which takes it along when left)."""

    gateway: GatewayName
    user_id: UserId
    room: RoomName
    parent: RoomName | None = None


class RemoveFromRoom(msgspec.Struct, frozen=True, tag="remove"):
    """Take every connection of a user out of a room and of the rooms below it."""

    gateway: GatewayName
    user_id: UserId
    room: RoomName


class CloseRoom(msgspec.Struct, frozen=True, tag="close_room"):
    """Empty a room and the rooms below it."""

    gateway: GatewayName
    room: RoomName


class RefreshRooms(msgspec.Struct, frozen=True, tag="refresh"):
    """Ask the host again which rooms these users may see; nothing reaches them in between."""

    gateway: GatewayName
    target: Target


class DisconnectUser(msgspec.Struct, frozen=True, tag="disconnect"):
    """Close every connection of a user, transports included."""

    gateway: GatewayName | None
    user_id: UserId
    code: int
    reason: str


class TakeOver(msgspec.Struct, frozen=True, tag="take_over", kw_only=True):
    """Make a connection its user's only one on the gateway: the earlier ones get a last event and are closed.

    Earlier are those that took over before, in the order of commands. So of several at the same time,
    on whatever processes, the last one stays; one whose own command is still to come is left alone.
    """

    gateway: GatewayName
    user_id: UserId
    connection_id: ConnectionId
    event: str
    payload: bytes
    code: int
    reason: str


class RevokeToken(msgspec.Struct, frozen=True, tag="revoke_token"):
    """Refuse a token from now on, and cut the connections that were opened with it."""

    jti: str


class RevokeUser(msgspec.Struct, frozen=True, tag="revoke_user"):
    """Refuse every token of a user issued up to now (seconds since the epoch), and cut the user off."""

    user_id: UserId
    issued_before: float


Command: TypeAlias = (
    AddToRoom | RemoveFromRoom | CloseRoom | RefreshRooms | DisconnectUser | TakeOver | RevokeToken | RevokeUser
)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a broadcast.

    `position` is its place in history (None for a volatile one), `delivered_locally` the number of
    this process's connections it was written to, `replicated` whether other processes have it too.
    """

    position: Position | None
    delivered_locally: int
    replicated: bool


class Frame:
    """What is written to a client: transport messages encoded once and shared by all recipients.

    `messages` are WebSocket messages in order: text as `str`, binary as `bytes`. A Socket.IO event
    with attachments is one frame of several messages, so that nothing can come between them.
    `size` is in bytes, and is what outboxes count.
    """

    __slots__ = ("_asgi", "_deflated", "_polling", "_wire", "messages", "size")

    def __init__(self, *messages: str | bytes) -> None:
        self.messages = messages
        self.size = sum(len(m) if isinstance(m, bytes) or m.isascii() else len(m.encode()) for m in messages)
        self._asgi: tuple[dict[str, Any], ...] | None = None
        self._polling: str | None = None
        self._wire: bytes | None = None
        self._deflated: bytes | None = None

    @classmethod
    def joined(cls, frames: Sequence[Frame]) -> Frame:
        """Several frames as one, to be written at once."""
        return frames[0] if len(frames) == 1 else cls(*[message for frame in frames for message in frame.messages])

    @property
    def wire(self) -> bytes:
        """The frame as a server's WebSocket frames (RFC 6455, section 5.2), made at the first use and then shared."""
        if self._wire is None:
            self._wire = b"".join(map(encode, self.messages))
        return self._wire

    @property
    def deflated(self) -> bytes:
        """`wire` with each large message compressed, made at the first use and then shared."""
        if self._deflated is None:
            self._deflated = self.wire if self.size < COMPRESSED_FROM else b"".join(map(deflate, self.messages))
        return self._deflated

    @property
    def asgi(self) -> tuple[dict[str, Any], ...]:
        """The frame as ASGI `websocket.send` events, made at the first use and then shared."""
        if self._asgi is None:
            self._asgi = tuple(
                {"type": "websocket.send", "text": m} if isinstance(m, str) else {"type": "websocket.send", "bytes": m}
                for m in self.messages
            )
        return self._asgi

    @property
    def polling(self) -> str:
        """The frame as part of an Engine.IO polling payload, made at the first use and then shared."""
        if self._polling is None:
            self._polling = "\x1e".join(
                m if isinstance(m, str) else "b" + base64.b64encode(m).decode("ascii") for m in self.messages
            )
        return self._polling
