"""One client on one gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from collections.abc import Set as AbstractSet
from threading import get_ident
from typing import Any, Protocol, TypeAlias

from msgspec import UNSET

from asgi_realtime.outbound.sink import Sink
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.values.close_codes import TOO_SLOW, check_close
from asgi_realtime.values.field_types import is_number
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id, RoomName
from asgi_realtime.values.json import Json

NO_ROOM = RoomName("")
"""Where a broadcast to users or to all went: no room has this name."""
_FEW_ROOMS = 8
"""So many are kept in a tuple: a set takes five times the room, and is no faster to search."""
_NONE: frozenset[RoomName] = frozenset()  # one for all: Python makes each a new one


Question: TypeAlias = Callable[[], Awaitable[Any] | Any]
"""Asks the host something. A plain function runs in a thread."""


class Transport(Protocol):
    """What a connection asks of the floor below its client: to write, and to end it."""

    @property
    def behind(self) -> bool:
        """Whether so much waits to be written that volatile events should be dropped."""

    @property
    def sink(self) -> Sink | None:
        """Where a frame's wire form may be written at once, past `push`. See `outbound.sink`.

        The transport calls the connection's `sink_changed` each time it has changed.
        """

    def push(self, frame: Frame) -> None:
        """Write a frame after all that was pushed before. Never waits, never raises."""

    def close(self, code: int, reason: str) -> None:
        """End the connection, after what was pushed; then call the gateway's `closed`."""

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt (see `Limits.attempt_rate`). False: it was one too many, and the caller ends the client.

        `budget` is the gateway's.
        """

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """Send an event and wait for the client's answer."""


class Membership(Protocol):
    """What a connection asks of the hub: its places in rooms."""

    async def join(
        self,
        connection: Connection,
        room: Id,
        parent: Id | None,
        *,
        allowed: Question | None = None,
        latest: str | None = None,
        known: Question | None = None,
    ) -> None:
        """Put the connection into a room; it receives the room's events from now on. See `Connection.join`."""

    async def leave(self, connection: Connection, room: Id) -> None:
        """Take the connection out of a room."""

    @property
    def thread(self) -> int | None:
        """The thread whose event loop the connections belong to; None: none yet."""

    def check_thread(self) -> None:
        """Refuse a call from another thread.

        Raises:
            RuntimeError: with what to call there.
        """

    def sink_changed(self, connection: Connection) -> None:
        """The sink of a connection has changed: see `outbound.sink`."""

    def flush(self) -> None:
        """Write the broadcasts that wait for the end of the tick: something else is about to be written."""


class Connection:
    """A client, authenticated, on one gateway. Handlers get it by annotating a parameter with this class."""

    __slots__ = (
        "__weakref__",
        "_dialect",
        "_held",
        "_held_bytes",
        "_holds",
        "_hub",
        "_limit",
        "_rooms",
        "closed",
        "ended",
        "gateway",
        "granted",
        "handshake",
        "id",
        "identity",
        "inbox",
        "refresh",
        "state",
        "took_over",
        "transport",
    )

    def __init__(
        self,
        *,
        id: ConnectionId,
        identity: Identity,
        gateway: GatewayName,
        handshake: Handshake,
        dialect: Dialect,
        transport: Transport,
        hub: Membership,
        inbox: Inbox,
        held_bytes: int,
    ) -> None:
        self.id = id
        self.identity = identity
        self.gateway = gateway
        self.handshake = handshake
        """What the client presented. The headers, cookies and `auth` are dropped when `on_connect` has returned."""
        self._rooms: tuple[RoomName, ...] | set[RoomName] = ()
        self.granted: frozenset[RoomName] = _NONE
        """The rooms the host's service granted; the others were joined by handlers."""
        self.refresh: Refresh | None = None
        """The question to the host about this connection's rooms that is under way."""
        self.state: Any = None
        """For the gateway: whatever belongs to this connection and nobody else."""
        self.took_over = False
        """Whether it has become its user's only connection; see `TakeOver`."""
        self.closed = False
        self.ended: tuple[int, str] | None = None
        """The code and reason with which it was ended here, if it was."""
        self.inbox = inbox
        self._dialect = dialect
        self.transport = transport
        self._hub = hub
        self._limit = held_bytes
        self._holds = 0
        self._held_bytes = 0
        self._held: list[tuple[RoomName | None, Frame]] | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.id} of {self.identity.user_id!r} on {self.gateway}>"

    async def send(self, event: str, *data: Any) -> None:
        """Send an event to this client alone. Returns at once; the frame keeps its place in the client's order.

        `data` is the payload, or nothing. None is a payload: JSON's `null`. A Socket.IO event may
        carry several: `send("moved", x, y)`.

        Raises:
            TypeError: if a value cannot be encoded, or a JSON WebSocket is given several.
            ValueError: for an event name that is reserved, such as `disconnect` on Socket.IO.
            RuntimeError: on another thread than the event loop's, as all methods that are awaited.
        """
        if get_ident() != self._hub.thread:
            self._hub.check_thread()
        self.push(self._dialect.event_args(event, data))

    async def call(self, event: str, data: Any = UNSET, *, timeout: float = 10.0) -> Json:
        """Send an event and return what the client acknowledges it with.

        One value is returned as it is, several as a list, none as None. So None is `null` or no value.
        Without `data` the event has no payload; None is JSON's `null`.

        Raises:
            TimeoutError: if no answer came within `timeout` seconds.
            TypeError: for a payload that cannot be encoded, a `timeout` that is no number, or a JSON WebSocket.
            ValueError: for an event name that is reserved.
            ConnectionError: if the connection ended first.
        """
        self._hub.check_thread()
        if not is_number(timeout):
            raise TypeError(f"call(): timeout must be a number of seconds, not {type(timeout).__name__}")
        return await self.transport.call(event, data, timeout)

    async def join(
        self,
        room: Id,
        *,
        parent: Id | None = None,
        allowed: Question | None = None,
        latest: str | None = None,
        known: Question | None = None,
    ) -> None:
        """Enter a room.

        Args:
            room: its name.
            parent: a room above it. Leaving that one later means leaving this room too.
            allowed: a function, async or plain (then it runs in a thread), that asks the host whether the
                client may enter. A client that is taken out of the room while it answers does not get in.
            latest: an event whose newest broadcast to the room (as long as history keeps it) is sent
                to this client at once: whoever comes late needs no poll. It arrives once, and in order
                with those that follow.
            known: a function, async or plain, that asks the host for the payload of that event. What it
                returns is sent, unless it is None or the event was broadcast in the meantime; then history's is.

        Raises:
            InvalidMessage: for a name over the limits, or more rooms than allowed.
            InvalidId: for a name that is no id.
            Forbidden: the client may not enter.
            BrokerUnavailable: history could not be read; the room was not entered.
        """
        self._hub.check_thread()
        await self._hub.join(self, room, parent, allowed=allowed, latest=latest, known=known)

    async def leave(self, room: Id) -> None:
        """Leave a room, and the rooms below it.

        Raises:
            InvalidId: for what is no id.
        """
        self._hub.check_thread()
        await self._hub.leave(self, room)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection after what was sent. What is sent later is not delivered. A second call does nothing.

        Raises:
            ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
        """
        self._hub.check_thread()
        check_close("close()", code, reason)
        self.end(code, reason)

    def end(self, code: int, reason: str, last: Frame | None = None) -> None:
        """`close` for callers that cannot wait. Close-once. `last` is written before the close."""
        if not self.closed:
            self.flush()
        if not self.closed:  # by what was flushed: it may have been too much for this client
            self.shut()
            self.ended = code, reason
            if last is not None:
                self.transport.push(last)
            self.transport.close(code, reason)

    def flush(self) -> None:
        """Write the broadcasts that wait for the end of the tick: the connection is about to end."""
        self._hub.flush()

    def shut(self) -> None:
        """Nothing is written any more: it has ended, whoever ended it."""
        self.closed = True
        self._held = None
        self.sink_changed()

    @property
    def sink(self) -> Sink | None:
        """Where broadcasts are written past `push`, in their wire form. None: frames must be pushed."""
        return None if self.closed or self._held is not None else self.transport.sink

    def sink_changed(self) -> None:
        """`sink` has changed: tell the hub, which keeps copies. See `outbound.sink`."""
        self._hub.sink_changed(self)

    @property
    def rooms(self) -> AbstractSet[RoomName]:
        """The rooms it is in. To look at: joining goes through `join`, which asks the hub."""
        rooms = self._rooms
        return frozenset(rooms) if isinstance(rooms, tuple) else rooms

    def entered(self, room: RoomName) -> None:
        """The hub has put it into a room."""
        rooms = self._rooms
        if room in rooms:
            return
        if isinstance(rooms, set):
            rooms.add(room)
        elif len(rooms) < _FEW_ROOMS:
            self._rooms = (*rooms, room)
        else:
            self._rooms = {*rooms, room}

    def left(self, rooms: Collection[RoomName]) -> None:
        """The hub has taken it out of rooms."""
        mine = self._rooms
        if isinstance(mine, set):
            mine.difference_update(rooms)
        else:
            self._rooms = tuple(room for room in mine if room not in rooms)

    @property
    def behind(self) -> bool:
        """Whether the client reads so slowly that volatile events should be dropped."""
        return self.transport.behind

    def push(self, frame: Frame, room: RoomName | None = None) -> None:
        """Write a frame, or keep it while the connection is held. Called for each recipient without a `sink`.

        `room` is where the frame was broadcast (`NO_ROOM`: to users or to all; None: to this client alone).
        """
        if room is None:
            self._hub.flush()
        if self._held is None:
            if not self.closed:
                self.transport.push(frame)
            return
        self._held.append((room, frame))
        self._held_bytes += frame.size
        if self._held_bytes > self._limit:
            self.end(1013, TOO_SLOW)

    def hold(self) -> int:
        """Keep every frame back until `release`: CONNECT is not answered yet, or membership is uncertain. Nests.

        Returns how many are kept back already.
        """
        self._hub.flush()
        self._holds += 1
        if self._held is None and not self.closed:
            self._held = []
            self.sink_changed()
        return len(self._held or ())

    def insert(self, frame: Frame, mark: int) -> None:
        """Put a frame before those that were kept back since `hold` returned `mark`, unless it is one of them."""
        self._hub.flush()
        if self._held is not None:
            since = {message for _, kept in self._held[mark:] for message in kept.messages}
            if not since.issuperset(frame.messages):
                self._held.insert(mark, (None, frame))

    def release(self) -> None:
        """End a `hold`. The last one writes what was kept, but nothing of a room left meanwhile."""
        self._hub.flush()  # what waits for the end of the tick was broadcast while the connection was held
        self._holds -= 1
        if self._holds or self._held is None:
            return
        held, self._held, self._held_bytes = self._held, None, 0
        for room, frame in held:
            if not room or room in self._rooms:
                self.transport.push(frame)
        self.sink_changed()

    def open(self, answer: Frame | None) -> None:
        """End the first `hold`: write the answer to CONNECT, then what `on_connect` sent, then broadcasts."""
        self._hub.flush()  # as in `release`; before the answer, which a client that is cut here has no use for
        if self._held is not None:
            if answer is not None:
                self.transport.push(answer)
            for _, frame in (item for item in self._held if item[0] is None):
                self.transport.push(frame)
            self._held = [item for item in self._held if item[0] is not None]
        self.release()


class Refresh:
    """One question to the host about one connection, while it is under way.

    `missed` are the changes made meanwhile: the host's answer may be older than they are, so they
    are made again on top of it. `again` says that the question itself was asked anew. While the
    connection is being let in (`entering`), whoever lets it in is told of the host's `error`.
    """

    __slots__ = ("again", "done", "entering", "error", "missed", "task")

    def __init__(self) -> None:
        self.missed: list[Callable[[Connection], None]] = []
        self.again = False
        self.entering = False
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
