"""The events that a client has missed, read from history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.position_order import number
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, Target, ToAll, ToRoom, ToRooms, ToUsers


async def read_missed(
    broker: Broker,
    seconds: float,
    gateway: GatewayName,
    connection_id: ConnectionId,
    user_id: UserId,
    since: Position,
    rooms: Mapping[RoomName, Position],
) -> list[Publication]:
    """The publications after `since` for a client, in order.

    `rooms` are those of the client, each with the position from which on it was there.

    Raises:
        PositionLost: some of them may be gone.
        BrokerUnavailable: the broker did not answer in `seconds`.
    """
    targets: list[Target] = [*map(ToRoom, rooms), ToUsers((user_id,)), ToAll()]
    found = await answer_in_time(seconds, broker.history(gateway, since, targets))
    found = [each for each in found if connection_id not in each.except_]
    after = number(since)
    if all([number(position) <= after for position in rooms.values()]):
        return found  # it was in all of them already
    return those_for(found, rooms)


def size_of(publications: Iterable[Publication]) -> int:
    """How many bytes publications have."""
    return sum([len(each.payload) + sum(map(len, each.attachments)) for each in publications])


def those_for(publications: Iterable[Publication], rooms: Mapping[RoomName, Position]) -> list[Publication]:
    """The publications of history that are for a client in these rooms, which it entered at these positions."""
    entered = {room: number(position) for room, position in rooms.items()}
    return [each for each in publications if _is_for(each, entered)]


def those_until(publications: list[Publication], position: Position) -> list[Publication]:
    """The publications that are not newer than a position. They are in order."""
    last = number(position)
    if not publications or _number(publications[-1]) <= last:
        return publications
    return [each for each in publications if _number(each) <= last]


def _is_for(publication: Publication, entered: Mapping[RoomName, int]) -> bool:
    target = publication.target
    if isinstance(target, ToRoom | ToRooms):
        at = _number(publication)
        if isinstance(target, ToRoom):
            return at > entered.get(target.room, at)
        return any(at > entered.get(room, at) for room in target.rooms)
    return True  # to its user, or to all


def _number(publication: Publication) -> int:
    assert publication.position is not None  # it is from history
    return number(publication.position)
