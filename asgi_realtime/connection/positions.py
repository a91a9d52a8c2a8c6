"""The positions of a gateway and of its connections, for recovery. Only connections that get positions have any."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position

_MARK_SECONDS: Final = 5.0
_MARKS: Final = 128
"""So the marks of a busy gateway reach back ten minutes."""


class GatewayPositions:
    """The newest position of a gateway in this process, and those at earlier times."""

    __slots__ = ("_marks", "_next_mark", "answer_has_position", "dialect", "newest")

    def __init__(self, dialect: Dialect, answer_has_position: bool) -> None:
        self.dialect = dialect
        """How positions are written."""
        self.answer_has_position = answer_has_position
        """Whether the answer to a new client tells it its position. Then the client has one of its session always."""
        self.newest = Position("")
        """The position of the last publication that was delivered. Empty: the broker has not started."""
        self._marks: deque[tuple[float, Position]] = deque(maxlen=_MARKS)
        self._next_mark = 0.0

    def start(self, position: Position) -> None:
        """The broker has started, with this position."""
        self.newest = position
        self._marks.clear()
        self._next_mark = 0.0

    def advance(self, position: Position, now: float) -> None:
        """A publication is about to be delivered. `now`: seconds, monotonic."""
        if now >= self._next_mark:
            self._marks.append((now, self.newest))
            self._next_mark = now + _MARK_SECONDS
        self.newest = position

    def at(self, time: float) -> Position | None:
        """A position that was delivered before a time, if the marks reach back so far."""
        for marked, position in reversed(self._marks):
            if marked <= time:
                return position
        return None


class ConnectionPositions:
    """What recovery needs to know of one connection, beside what the connection holds anyway."""

    __slots__ = ("entered", "gateway", "opened", "recovered", "replayed", "since")

    def __init__(self, gateway: GatewayPositions) -> None:
        self.gateway = gateway
        self.since = gateway.newest
        """Everything up to here is with the client, or is not for it."""
        self.entered: dict[RoomName, Position] | None = None
        """The newest positions when rooms were entered. Rooms that are not here were entered at `since`."""
        self.replayed: Position | None = None
        """The last of the missed events that were written before the answer to CONNECT. None: there were none."""
        self.opened = False
        """Whether the CONNECT of this connection is answered."""
        self.recovered = False
        """See `Connection.recovered`."""

    def enter(self, room: RoomName) -> None:
        """The connection has entered a room."""
        newest = self.gateway.newest
        if newest != self.since:
            if self.entered is None:
                self.entered = {}
            self.entered[room] = newest

    def leave(self, rooms: Collection[RoomName]) -> None:
        """The connection has left rooms."""
        if self.entered is not None:
            for room in rooms:
                self.entered.pop(room, None)

    def own(self, frame: Frame, position: Position | None = None) -> Frame:
        """A frame for this client alone, with a position if the client would find another one in it.

        `position`: by default the newest. Until CONNECT is answered nothing is added, because the frame will be
        written before others that were published earlier. See `opening`.
        """
        dialect = self.gateway.dialect
        if self.opened and dialect.needs_position(frame):
            return dialect.with_position(frame, self.gateway.newest if position is None else position)
        return frame

    def opening(self, own: list[Frame]) -> list[Frame]:
        """CONNECT is answered now. As `own`, for the frames that are written directly after the answer."""
        self.opened = True
        dialect = self.gateway.dialect
        return [dialect.with_position(frame, self.since) if dialect.needs_position(frame) else frame for frame in own]
