"""The positions of a gateway and of its connections, for recovery. Only connections that get positions have any."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from asgi_realtime.broker.position_order import is_up_to
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import ConnectionId, RoomName
from asgi_realtime.values.publications import Position

MARK_SECONDS: Final = 5.0
_MARKS: Final = 128
"""So the marks of a busy gateway reach back ten minutes."""


class GatewayPositions:
    """The newest position of a gateway in this process, and those at earlier times."""

    __slots__ = (
        "_mark_due",
        "_mark_every",
        "_marks",
        "answer_has_position",
        "changed",
        "dialect",
        "newest",
        "settle",
        "unnumbered",
        "written",
    )

    def __init__(self, dialect: Dialect, answer_has_position: bool, *, mark_every: float = MARK_SECONDS) -> None:
        self.dialect = dialect
        """How positions are written."""
        self.answer_has_position = answer_has_position
        """Whether the answer to a new client tells it its position. Then the client has one of its session always."""
        self.newest = Position("")
        """The position of the last publication that was delivered. Empty: the broker has not started."""
        self.unnumbered = 0
        """How many publications without a position were delivered that history may get later: the broker was away."""
        self.changed: Callable[[ConnectionId], None] | None = None
        """Called when the rooms of an open connection have changed. None: no process but this one gives sessions."""
        self.written: Callable[[], Awaitable[None]] | None = None
        """Returns when all such changes are where other processes find them."""
        self.settle: Callable[[], Awaitable[bool]] | None = None
        """Asks the broker for its position, so that `newest` is not older than what was just subscribed to. None: it
        never is. Returns False if the broker does not answer."""
        self._marks: deque[tuple[float, Position]] = deque(maxlen=_MARKS)
        self._mark_every = mark_every
        self._mark_due = True

    def start(self, position: Position) -> None:
        """The broker has started, with this position."""
        self.newest = position
        self._marks.clear()
        self._mark_due = True

    def advance(self, position: Position) -> bool:
        """A publication is about to be delivered, or everything before it was.

        False: the position is older than the newest. A message was found to be missing, and comes late.
        """
        if self._mark_due:
            loop = asyncio.get_running_loop()
            self.mark(loop.time())
            self._mark_due = False
            loop.call_later(self._mark_every, self._set_mark_due)  # no publication asks for the time
        # The first comparison is cheap, and enough unless the numbers have not the same number of digits.
        if position <= self.newest and is_up_to(position, self.newest):
            return position == self.newest
        self.newest = position
        return True

    def mark(self, now: float) -> None:
        """Note the time at which the newest position was delivered already. `now`: of the event loop."""
        self._marks.append((now, self.newest))

    def _set_mark_due(self) -> None:
        self._mark_due = True

    def at(self, time: float) -> Position | None:
        """A position that was delivered before a time, if the marks reach back so far."""
        for marked, position in reversed(self._marks):
            if marked <= time:
                return position
        return None


class ConnectionPositions:
    """What recovery needs to know of one connection, beside what the connection holds anyway."""

    __slots__ = (
        "connection_id",
        "entered",
        "gateway",
        "opened",
        "owner",
        "pid",
        "recovered",
        "replayed",
        "since",
        "unnumbered",
        "unsure",
    )

    def __init__(self, gateway: GatewayPositions, owner: str) -> None:
        self.gateway = gateway
        self.owner = owner
        """See `SessionStore.new_owner`."""
        self.pid: str | None = None
        """The id that the client has presented, if another process made it."""
        self.connection_id: ConnectionId | None = None
        """Set directly before CONNECT is answered, if sessions are in Redis. None: its rooms are not written there."""
        self.since = gateway.newest
        """Everything up to here is with the client, or is not for it. Empty: that is not known."""
        self.unnumbered = gateway.unnumbered
        """That of the gateway when the client connected. If it has changed, the client cannot recover."""
        self.entered: dict[RoomName, Position] | None = None
        """The newest positions when rooms were entered. Rooms that are not here were entered at `since`."""
        self.replayed: Position | None = None
        """The last of the missed events that were written before the answer to CONNECT. None: there were none."""
        self.unsure: tuple[Position, float] | None = None
        """The client may lack what `older` returned, unless its position is newer than this one, or it has answered a
        ping that was sent after this time (of the event loop)."""
        self.opened = False
        """Whether the CONNECT of this connection is answered."""
        self.recovered = False
        """See `Connection.recovered`."""

    async def after(self, subscribing: Awaitable[None]) -> None:
        """Return when subscriptions are made and `newest` is the position at which they were, or a later one."""
        await subscribing
        if self.gateway.settle is not None and not await self.gateway.settle():
            self.unnumbered = -1

    def enter(self, room: RoomName) -> None:
        """The connection has entered a room."""
        newest = self.gateway.newest
        if newest != self.since:
            if self.entered is None:
                self.entered = {}
            self.entered[room] = newest
        self._change()

    def leave(self, rooms: Collection[RoomName]) -> None:
        """The connection has left rooms."""
        if self.entered is not None:
            for room in rooms:
                self.entered.pop(room, None)
        self._change()

    def _change(self) -> None:
        if self.connection_id is not None and self.gateway.changed is not None:
            self.gateway.changed(self.connection_id)

    async def until_written(self) -> None:
        """Return when the rooms of the connection are where other processes find them."""
        if self.connection_id is not None and self.gateway.written is not None:
            await self.gateway.written()

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

    def older(self, frames: list[Frame]) -> list[Frame]:
        """Frames of publications that are older than others that the client has got. They have not their own positions.

        So it does not know, after a reconnect, whether the client has got them. See `unsure`.
        """
        dialect, newest = self.gateway.dialect, self.gateway.newest
        if frames:
            self.unsure = newest, math.inf
            self._change()
        return [dialect.with_position(frame, newest) if dialect.needs_position(frame) else frame for frame in frames]

    def written(self) -> None:
        """What `older` returned is written to the client."""
        if self.unsure is not None:
            self.unsure = self.unsure[0], asyncio.get_running_loop().time()
