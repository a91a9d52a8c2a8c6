"""Lets a connection follow a room from a position in history on: what came after it first, then what comes."""

from __future__ import annotations

from typing import Final

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.errors import InvalidMessage, PositionLost
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.hub.pending_joins import PendingJoin
from asgi_realtime.values.publications import Position, Publication, ToRoom

_HEAD_BYTES: Final = 250
"""Most bytes of a frame beside the name of the event, the payload and the attachments: a namespace, a position."""


async def catch_up(
    mount: Mount, broker: Broker, seconds: float, connection: InternalConnection, pending: PendingJoin, since: Position
) -> None:
    """Put a connection into a room, and write the events of the room after `since` before later ones.

    This process is subscribed to the room. Nothing is awaited before the room is entered. If this raises, the room is
    not entered, or not left if the connection was there before.

    Args:
        mount: the gateway.
        broker: has the history.
        seconds: that the broker may take to answer.
        connection: the connection. Its frames are held until this ends.
        pending: the room, and whether the connection may still enter it.
        since: the position.

    Raises:
        PositionLost: some of the events may be gone, or they are more than may wait for a client.
        BrokerUnavailable: the broker did not answer in time.
    """
    room, positions = pending.room, connection.positions
    was_there = room in connection.rooms
    if positions is not None and positions.recovered and not positions.opened:
        if was_there:
            return  # it gets what it missed, from the position of its client on
        raise RuntimeError("on_connect: call join(since=) only if not connection.recovered")
    held = connection.hold()
    try:
        mount.rooms.join(connection, room, pending.parent)
        with mount.recent.since_now(room) as delivered:
            # Twice: what is stored may have other bytes than the frames, which are counted below.
            most_bytes = 2 * mount.limits.outbox_bytes
            history = broker.history(connection.gateway, since, [ToRoom(room)], most_bytes=most_bytes)
            found = await answer_in_time(seconds, history)
            # What was delivered since the room was entered is held already, or was written.
            missed = _missed(found, delivered.positions, connection, mount.limits.outbox_bytes)
        if room in connection.rooms and not (pending.left or pending.withdrawn):
            frames = mount.plain_frames_for(connection, missed)
            connection.insert(frames if positions is None else positions.older(frames), held, room)
    except BaseException:
        if not was_there:
            mount.rooms.leave(connection, room)
        raise
    finally:
        connection.release()
    if positions is not None and not connection.held:
        positions.written()


def checked_position(since: object) -> Position:
    """The position that a handler passes on from its client.

    Raises:
        InvalidMessage: it is no text.
    """
    if not isinstance(since, str):
        raise InvalidMessage("a position is a text")
    return Position(since)


def _missed(
    found: list[Publication], delivered: set[Position], connection: InternalConnection, most_bytes: int
) -> list[Publication]:
    missed = [each for each in found if each.position not in delivered and connection.id not in each.except_]
    if sum(map(_frame_bytes, missed)) > most_bytes:
        raise PositionLost("there are too many events since this position")
    return missed


def _frame_bytes(publication: Publication) -> int:
    """About how many bytes a frame has: not fewer than it has."""
    return _HEAD_BYTES + 4 * len(publication.event) + len(publication.payload) + sum(map(len, publication.attachments))
