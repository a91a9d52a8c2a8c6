"""Makes the recovery sessions of connections."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from typing import Final

from asgi_realtime.broker.position_order import newer, same_history
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.positions import ConnectionPositions
from asgi_realtime.hub.hub import Hub
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.values.close_codes import TOO_SLOW
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position

ENDED_TOO_SLOW: Final = (1013, TOO_SLOW)
"""The end of a client that reads too slowly."""
_PING_MARGIN: Final = 1.0
"""Seconds. A ping may overtake broadcasts of the same tick."""


class ConnectionSessions:
    """Makes the sessions of the connections of this process.

    Args:
        hub: the connections.
        log: the commands that this process has carried out.
    """

    def __init__(self, hub: Hub, log: CommandLog) -> None:
        self._hub = hub
        self._log = log
        self._key = secrets.token_bytes(32)

    def pid(self, connection: InternalConnection) -> str:
        """The secret id with which the client claims its session. It stays the same when the client recovers."""
        if connection.positions is not None and connection.positions.pid is not None:
            return connection.positions.pid
        mac = hmac.digest(self._key, f"{connection.gateway}\n{connection.id}".encode(), hashlib.sha256)[:18]
        return f"{connection.id}.{base64.urlsafe_b64encode(mac).decode()}"

    def id_of(self, connection: InternalConnection) -> SessionId:
        """Where the session of a connection is kept."""
        return SessionId.of(connection.gateway, self.pid(connection))

    def of(self, connection: InternalConnection) -> RecoverySession | None:
        """What another connection of the client needs. None: the client cannot recover."""
        positions = connection.positions
        assert positions is not None
        if connection.refresh is not None or connection.ended not in (None, ENDED_TOO_SLOW):
            return None
        since, replayed, newest = positions.since, positions.replayed, positions.gateway.newest
        answered_at = connection.transport.answered_at
        received = None if answered_at is None else positions.gateway.at(answered_at - _PING_MARGIN)
        if received is not None and same_history(received, newest) and newer(since, received) != since:
            since, replayed = received, None
        if positions.unnumbered != positions.gateway.unnumbered or not same_history(since, newest):
            return None
        entered = positions.entered or {}
        return RecoverySession(
            id=self.id_of(connection),
            connection_id=connection.id,
            identity=connection.identity,
            rooms={room: entered.get(room, since) for room in connection.rooms},
            parents=_parents_of(connection.rooms, self._hub.rooms(connection.gateway).parents),
            granted=connection.granted,
            since=since,
            replayed=replayed,
            unsure=_unsure(positions, answered_at),
            commands=self._log.count,
        )


def _unsure(positions: ConnectionPositions, answered_at: float | None) -> Position | None:
    if positions.unsure is None:
        return None
    position, written_at = positions.unsure
    return None if answered_at is not None and answered_at - _PING_MARGIN > written_at else position


def _parents_of(rooms: Collection[RoomName], parents: Mapping[RoomName, RoomName]) -> dict[RoomName, RoomName]:
    """The parents of some rooms and of the rooms above them."""
    found: dict[RoomName, RoomName] = {}
    for room in rooms:
        while room in parents and room not in found:
            found[room] = parents[room]
            room = parents[room]
    return found
