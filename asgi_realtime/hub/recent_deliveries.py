"""Which publications to a room were delivered in this process since a moment, while its history is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position, Publication, ToRoom, ToRooms


class DeliveryLog:
    """The positions that were delivered to one room, the oldest first, since the oldest moment that is still needed."""

    __slots__ = ("first", "moments", "positions")

    def __init__(self) -> None:
        self.positions: deque[Position] = deque()
        self.first = 0
        """The number of the first of them, counted from the beginning."""
        self.moments: list[int] = []
        """How many were delivered at each moment that is needed, the oldest first."""


class RecentDeliveries:
    """Notes publications to the rooms whose history is being read. Empty most of the time."""

    __slots__ = ("logs",)

    def __init__(self) -> None:
        self.logs: dict[RoomName, DeliveryLog] = {}
        """By room. Nothing is noted for others."""

    def note(self, publication: Publication) -> None:
        """A publication is delivered now."""
        target = publication.target
        rooms = (target.room,) if type(target) is ToRoom else target.rooms if type(target) is ToRooms else ()
        for room in rooms:
            log = self.logs.get(room)
            if log is not None and publication.position is not None:
                log.positions.append(publication.position)

    @contextmanager
    def since_now(self, room: RoomName) -> Iterator[SinceNow]:
        """Within the block, the result knows what was delivered to the room since the block began."""
        log = self.logs.setdefault(room, DeliveryLog())
        moment = log.first + len(log.positions)
        log.moments.append(moment)
        try:
            yield SinceNow(log, moment)
        finally:
            log.moments.remove(moment)
            if not log.moments:
                del self.logs[room]
            else:
                while log.first < log.moments[0]:
                    log.positions.popleft()
                    log.first += 1


class SinceNow:
    """What was delivered to a room since a moment."""

    __slots__ = ("_log", "_moment")

    def __init__(self, log: DeliveryLog, moment: int) -> None:
        self._log = log
        self._moment = moment

    @property
    def positions(self) -> set[Position]:
        """The positions of these publications."""
        return set(list(self._log.positions)[self._moment - self._log.first :])
