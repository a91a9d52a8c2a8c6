"""The bytes of publications and commands between processes: MessagePack, without what the channel names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.publications import Position, Publication, ReplyTo, Target, ToRooms, ToUsers

PUBLICATION: Final = b"P"
COMMAND: Final = b"C"


class _Publication(msgspec.Struct, array_like=True, frozen=True, gc=False):
    event: str
    payload: bytes
    attachments: tuple[bytes, ...] = ()
    except_: tuple[ConnectionId, ...] = ()
    several: ToUsers | ToRooms | None = None
    origin: str = ""
    reply_to: ReplyTo | None = None


class _Origin(msgspec.Struct, array_like=True, frozen=True, gc=False):
    event: str
    payload: msgspec.Raw
    attachments: msgspec.Raw
    except_: msgspec.Raw
    several: msgspec.Raw
    origin: str


class _Command(msgspec.Struct, array_like=True, frozen=True):
    origin: str
    command: Command


_encoder = msgspec.msgpack.Encoder()
_publication_decoder = msgspec.msgpack.Decoder(_Publication)
_origin_decoder = msgspec.msgpack.Decoder(_Origin)
_command_decoder = msgspec.msgpack.Decoder(_Command)


def encode_publication(publication: Publication, origin: str = "") -> bytes:
    """The bytes of a publication. Gateway and position are not in it, and the target only if it is several.

    `origin` says which call in which process has published it.
    """
    target = publication.target
    several = target if type(target) is ToRooms or type(target) is ToUsers and len(target.user_ids) != 1 else None
    return PUBLICATION + _encoder.encode(
        _Publication(
            publication.event,
            publication.payload,
            publication.attachments,
            publication.except_,
            several,
            origin,
            publication.reply_to,
        )
    )


def decode_publication(
    data: bytes, gateway: GatewayName, target: Target, position: Position | None, volatile: bool
) -> Publication:
    """The publication of these bytes, received on the channel of a target.

    Raises:
        msgspec.DecodeError: they are no publication.
    """
    _check_kind(data, PUBLICATION)
    found = _publication_decoder.decode(memoryview(data)[1:])
    return Publication(
        gateway=gateway,
        target=found.several or target,
        event=found.event,
        payload=found.payload,
        attachments=found.attachments,
        except_=found.except_,
        volatile=volatile,
        position=position,
        reply_to=found.reply_to,
    )


Encode: TypeAlias = Callable[[Publication, str], bytes]
"""As `encode_publication`."""
Decode: TypeAlias = Callable[[bytes, GatewayName, Target, Position | None, bool], Publication]
"""As `decode_publication`."""


class Encoding(NamedTuple):
    """How a process writes publications for others, and reads those that are delivered."""

    encode: Encode
    decode: Decode


PLAIN: Final = Encoding(encode_publication, decode_publication)
"""Of a process that does not trace. `traced_encoding.TRACED` is that of one that does."""


def origin_of(data: bytes) -> str:
    """The origin of a publication or command.

    Raises:
        msgspec.DecodeError: the bytes are neither.
    """
    if data[:1] == COMMAND:
        return decode_command(data)[0]
    _check_kind(data, PUBLICATION)
    return _origin_decoder.decode(memoryview(data)[1:]).origin


def encode_command(command: Command, origin: str) -> bytes:
    """The bytes of a command. `origin` says which call in which process waits for it."""
    return COMMAND + _encoder.encode(_Command(origin, command))


def decode_command(data: bytes) -> tuple[str, Command]:
    """Origin and command of these bytes.

    Raises:
        msgspec.DecodeError: they are no command.
    """
    _check_kind(data, COMMAND)
    found = _command_decoder.decode(memoryview(data)[1:])
    return found.origin, found.command


def _check_kind(data: bytes, kind: bytes) -> None:
    if data[:1] != kind:
        raise msgspec.DecodeError(f"it begins with {data[:1]!r} instead of {kind!r}")
