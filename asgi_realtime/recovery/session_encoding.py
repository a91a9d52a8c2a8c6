"""The bytes of recovery sessions in Redis: MessagePack."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from asgi_realtime.payloads.encoding import encode_json
from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position


class CommandPositions(NamedTuple):
    """The positions up to which a process has carried out all commands: those of one gateway, and those of all."""

    gateway: Position
    shared: Position


class Progress(msgspec.Struct, array_like=True, frozen=True):
    """How far a process is with one gateway."""

    carried_out: CommandPositions
    """The sessions of its open connections have every command up to here."""
    received: Position
    """The clients of its open connections have received everything up to here. Empty: that is not known."""


class _Session(msgspec.Struct, array_like=True, frozen=True):
    connection_id: ConnectionId
    user_id: UserId
    claims: bytes
    """JSON."""
    since: Position
    replayed: Position | None
    carried_out: CommandPositions
    granted: dict[RoomName, Position]
    """Rooms that the host's service has granted. An empty position: from `since` on."""
    others: dict[RoomName, Position]
    parents: dict[RoomName, RoomName]
    unsure: Position | None = None


_LARGEST: Final = sys.float_info.max
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Session)


def encode_session(session: RecoverySession, carried_out: CommandPositions) -> bytes:
    """The bytes of a session.

    Claims that cannot be JSON are not kept, but for what revocations are decided by.

    Raises:
        Exception: what an object in the claims raises, if even the id of the token cannot be read.
    """
    rooms = {room: Position("") if at == session.since else at for room, at in session.rooms.items()}
    return _encoder.encode(
        _Session(
            connection_id=session.connection_id,
            user_id=session.identity.user_id,
            claims=_encode_claims(session.identity.claims),
            since=session.since,
            replayed=session.replayed,
            carried_out=carried_out,
            granted={room: at for room, at in rooms.items() if room in session.granted},
            others={room: at for room, at in rooms.items() if room not in session.granted},
            parents=dict(session.parents),
            unsure=session.unsure,
        )
    )


def _encode_claims(claims: Mapping[str, Json]) -> bytes:
    try:
        return encode_json(dict(claims))
    except Exception:  # whatever an object of the host raises: only what a revocation is decided by must be kept
        token_id, issued_at = claims.get("jti"), claims.get("iat")
        known: dict[str, Json] = {}
        if token_id is not None:
            known["jti"] = str(token_id)
        if isinstance(issued_at, int | float):
            known["iat"] = float(max(-_LARGEST, min(issued_at, _LARGEST)))
        return encode_json(known)


def decode_session(id: SessionId, data: bytes) -> tuple[RecoverySession, CommandPositions]:
    """A session, and which commands its process had carried out.

    Raises:
        msgspec.DecodeError: the bytes are no session.
    """
    found = _decoder.decode(data)
    session = RecoverySession(
        id=id,
        connection_id=found.connection_id,
        identity=Identity(user_id=found.user_id, claims=msgspec.json.decode(found.claims)),
        rooms={room: at or found.since for room, at in (found.granted | found.others).items()},
        parents=found.parents,
        granted=frozenset(found.granted),
        since=found.since,
        replayed=found.replayed,
        unsure=found.unsure,
        commands=0,
    )
    return session, found.carried_out
