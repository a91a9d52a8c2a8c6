"""The messages between two processes that relay.

The process at which a request arrives opens a relay and numbers it. The process that has the session serves it. Each
message has the sender, so that sender and number identify the relay at the recipient.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

BODY: Final = "b"
"""More of a request's body."""
TEXT: Final = "t"
BYTES: Final = "y"
"""A message of a WebSocket, in either direction."""
ACCEPT: Final = "a"
"""The WebSocket is accepted."""
CLOSE: Final = "c"
"""The WebSocket is closed: code and reason."""
RESPONSE: Final = "r"
"""The whole answer to a request, or the refusal of a WebSocket. It is the last event of its relay."""


class Open(msgspec.Struct, tag=0, array_like=True, frozen=True):
    """A request that the sender relays. Of its headers and its query it has only what a session's requests need.

    So cookies and tokens of clients do not go through Redis with it.
    """

    sender: str
    relay: int
    websocket: bool
    method: str
    session: str
    origin: str | None
    host: str | None
    scheme: str
    http_version: str
    address: str | None
    body: bytes
    more_body: bool


class Part(msgspec.Struct, tag=1, array_like=True, frozen=True):
    """An event of a relay, or a part of it."""

    sender: str
    relay: int
    opened: bool
    """Whether the sender has opened the relay."""
    kind: str
    data: bytes
    more: bool
    """Whether another part of the event follows."""


class Credit(msgspec.Struct, tag=2, array_like=True, frozen=True):
    """The sender has taken this many bytes. As many more may be sent to it."""

    sender: str
    relay: int
    opened: bool
    bytes: int


class End(msgspec.Struct, tag=3, array_like=True, frozen=True):
    """The relay has ended at the sender."""

    sender: str
    relay: int
    opened: bool


class Leave(msgspec.Struct, tag=6, array_like=True, frozen=True):
    """The sender stops soon: the poll of a relay that it has opened is to be answered now."""

    sender: str
    relay: int


class Probe(msgspec.Struct, tag=4, array_like=True, frozen=True):
    """The relays with the recipient that the sender has. The recipient answers `Alive`, and ends those it lacks."""

    sender: str
    opened: list[int]
    served: list[int]


class Alive(msgspec.Struct, tag=5, array_like=True, frozen=True):
    """The answer to a probe."""

    sender: str


class Response(msgspec.Struct, array_like=True, frozen=True):
    """The data of a `RESPONSE`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Message: TypeAlias = Open | Part | Credit | End | Leave | Probe | Alive

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Message).decode
"""Raises `msgspec.DecodeError`."""
decode_response: Final = msgspec.msgpack.Decoder(Response).decode
encode_close: Final = encode
decode_close: Final = msgspec.msgpack.Decoder(tuple[int, str]).decode
