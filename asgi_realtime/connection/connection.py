"""One client on one gateway: what handlers use, and what the package itself works with.

`Connection` is what host code gets. It has the documented members and nothing else, so that an editor lists only those.
`InternalConnection` holds the state and is what the hub, the gateways and the transports pass around. There is one of
each for every client. They refer to each other until the gateway has called `on_disconnect`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from threading import get_ident
from typing import Any, Final

from msgspec import UNSET

from asgi_realtime.connection.contracts import HostCallback, MountedGateway, Transport
from asgi_realtime.connection.held_frames import HeldFrames, Taker
from asgi_realtime.connection.positions import ConnectionPositions
from asgi_realtime.connection.refresh_state import Refresh
from asgi_realtime.connection.room_set import NO_ROOMS, RoomSet, as_set, with_room, without_rooms
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.values.close_codes import TOO_SLOW, check_close
from asgi_realtime.values.field_types import is_number
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id, RoomName
from asgi_realtime.values.json import Json

_NOT_ENDED_HERE: Final = (1006, "")
"""The code and reason of a connection that was not ended by a call of `end`."""
_NONE: frozenset[RoomName] = frozenset()  # one for all connections: Python makes a new one each time


class Connection:
    """A client, authenticated, on one gateway. Handlers get it by annotating a parameter with this class."""

    __slots__ = ("__weakref__", "_internal")

    def __init__(self, internal: InternalConnection) -> None:
        self._internal = internal

    def __repr__(self) -> str:
        return repr(self._internal)

    @property
    def id(self) -> ConnectionId:
        """The id of the connection, for `except_` among others."""
        return self._internal.id

    @property
    def identity(self) -> Identity:
        """The user it belongs to. A new token of the same user replaces it."""
        return self._internal.identity

    @property
    def gateway(self) -> GatewayName:
        """The namespace or path."""
        return self._internal.mounted.name

    @property
    def handshake(self) -> Handshake:
        """What the client presented. The headers, cookies and `auth` are dropped when `on_connect` has returned."""
        return self._internal.handshake

    @property
    def rooms(self) -> AbstractSet[RoomName]:
        """The rooms it is in, read-only. Call `join` and `leave` to change them."""
        return as_set(self._internal.room_set)

    @property
    def state(self) -> Any:
        """For the gateway: any object that belongs to this connection. None at first."""
        return self._internal.state

    @state.setter
    def state(self, value: Any) -> None:
        self._internal.state = value

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._internal.closed

    @property
    def recovered(self) -> bool:
        """Whether it replaces a lost connection with the same `id`, and the client gets the events that it missed."""
        positions = self._internal.positions
        return positions is not None and positions.recovered

    @property
    def behind(self) -> bool:
        """Whether the client reads so slowly that volatile events should be dropped."""
        return self._internal.transport.outbox.behind

    async def send(self, event: str, *data: Any) -> None:
        """Send an event to this client alone. Returns at once. Events arrive in the order in which they were sent.

        `data` is the payload, or nothing. None is a payload: JSON's `null`. A Socket.IO event may
        carry several: `send("moved", x, y)`.

        Raises:
            TypeError: if a value cannot be encoded, or a JSON WebSocket is given several.
            ValueError: for an event name that is reserved, such as `disconnect` on Socket.IO.
            RuntimeError: on another thread than the event loop's, as all methods that are awaited.
        """
        internal = self._internal
        mounted = internal.mounted
        if get_ident() != mounted.hub.thread:
            mounted.hub.check_thread()
        internal.push(mounted.dialect.event_args(event, data))

    async def call(self, event: str, data: Any = UNSET, *, timeout: float = 10.0) -> Json:
        """Send an event and return the client's acknowledgement.

        One value is returned as it is, several as a list, none as None. So None is `null` or no value.
        Without `data` the event has no payload; None is JSON's `null`.

        Raises:
            TimeoutError: if no answer came within `timeout` seconds.
            TypeError: for a payload that cannot be encoded, a `timeout` that is no number, or a JSON WebSocket.
            ValueError: for an event name that is reserved.
            ConnectionError: if the connection ended first.
        """
        self._internal.mounted.hub.check_thread()
        if not is_number(timeout):
            raise TypeError(f"call(): timeout must be a number of seconds, not {type(timeout).__name__}")
        return await self._internal.transport.call(event, data, timeout)

    async def join(
        self,
        room: Id,
        *,
        parent: Id | None = None,
        allowed: HostCallback | None = None,
        latest: str | None = None,
        known: HostCallback | None = None,
        since: str | None = None,
    ) -> None:
        """Enter a room.

        Args:
            room: its name.
            parent: a room above it. A connection that leaves it later leaves this room too.
            allowed: a function, async or plain (then it runs in a thread), that returns whether the client may
                enter. A client that is removed from the room while the function runs does not enter.
            latest: an event. Its newest broadcast to the room, if history has one, is sent to this client at
                once, and before later broadcasts.
            known: a function, async or plain, that returns the payload of that event as the host has stored it.
                If it returns None, or the event was broadcast since, the broadcast in history is sent instead.
            since: a result of `Broadcaster.position`. The room's events after it (but no volatile ones) are sent
                first, in order and each once, also if the connection is in the room already.

        Raises:
            InvalidMessage: for a name over the limits, or more rooms than allowed. `InvalidId`: it is no id.
            Forbidden: the client may not enter.
            PositionLost: history does not have all events after `since`. The client must read a snapshot again.
            BrokerUnavailable: the broker did not answer within `MEW_PUBLISH_TIMEOUT`. The room was not entered.
        """
        hub = self._internal.mounted.hub
        hub.check_thread()
        await hub.join(self._internal, room, parent, allowed=allowed, latest=latest, known=known, since=since)

    async def leave(self, room: Id) -> None:
        """Leave a room, and the rooms below it.

        Raises:
            InvalidId: for what is no id.
        """
        hub = self._internal.mounted.hub
        hub.check_thread()
        await hub.leave(self._internal, room)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection after what was sent. What is sent later is not delivered. A second call does nothing.

        Raises:
            ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
        """
        self._internal.mounted.hub.check_thread()
        check_close("close()", code, reason)
        self._internal.end(code, reason)


class InternalConnection:
    """A connection, as the hub, the gateways and the transports use it. Its methods never wait."""

    __slots__ = (
        *("_blocked", "granted", "handshake", "id", "identity", "inbox", "mounted", "positions"),
        *("public", "refresh", "room_set", "sink", "state", "took_over", "transport"),
    )

    def __init__(
        self,
        *,
        id: ConnectionId,
        identity: Identity,
        handshake: Handshake,
        mounted: MountedGateway[InternalConnection],
        transport: Transport,
        inbox: Inbox,
        positions: ConnectionPositions | None = None,
    ) -> None:
        self.id = id
        self.identity = identity
        self.handshake = handshake
        self.mounted = mounted
        self.transport = transport
        self.inbox = inbox
        self.positions = positions
        """For recovery. None: the client gets no positions."""
        self.public = Connection(self)
        """What host code gets. Deleted by `forget_public`."""
        self.state: Any = None
        """See `Connection.state`."""
        self.room_set: RoomSet = NO_ROOMS
        self.granted: frozenset[RoomName] = _NONE
        """The rooms the host's service granted; the others were joined by handlers."""
        self.refresh: Refresh | None = None
        """The running refresh of this connection's rooms. None: none is running."""
        self.took_over = False
        """Whether it has become its user's only connection; see `TakeOver`."""
        self._blocked: HeldFrames | tuple[int, str] | None = None
        """Why frames are not written: they are held, or it has ended (code and reason). None: they are written."""
        self.sink = transport.outbox.sink
        """Where broadcasts are written past `push`, in their wire form. None: frames must be pushed."""

    def __repr__(self) -> str:
        return f"<Connection {self.id} of {self.identity.user_id!r} on {self.gateway}>"

    @property
    def gateway(self) -> GatewayName:
        """The namespace or path."""
        return self.mounted.name

    # Its end

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return isinstance(self._blocked, tuple)

    @property
    def ended(self) -> tuple[int, str] | None:
        """The code and reason with which it has ended (1006: not by a call of `end`). None: it is open."""
        return self._blocked if isinstance(self._blocked, tuple) else None

    def end(self, code: int, reason: str, last: Frame | None = None) -> None:
        """Close the connection and leave the hub. `last` is written before the close. A second call does nothing."""
        if self.leave_hub(code, reason):
            if last is not None:
                self.transport.outbox.push(last)
            self.transport.close(code, reason)

    def leave_hub(self, code: int, reason: str) -> bool:
        """Begin to end: no event reaches the client or a handler any more. The caller then closes the transport.

        False: it has ended already.
        """
        if not self.closed:
            self.flush()
        if self.closed:  # flushing ends a client that is too slow
            return False
        self._blocked = code, reason
        self.set_closed()
        self.mounted.hub.remove(self)
        return True

    def set_closed(self) -> None:
        """Mark the connection as closed, and write no more to it."""
        if not self.closed:
            self._blocked = _NOT_ENDED_HERE
        self.sink_changed()

    def forget_public(self) -> None:
        """Delete the reference to `public` after the last hook, so that no reference cycle remains."""
        del self.public

    # Its rooms, which the hub changes

    @property
    def rooms(self) -> AbstractSet[RoomName]:
        """The rooms it is in."""
        return as_set(self.room_set)

    def entered(self, room: RoomName) -> None:
        """The hub has put it into a room."""
        if self.positions is not None and room not in self.room_set:
            self.positions.enter(room)
        self.room_set = with_room(self.room_set, room)

    def left(self, rooms: Collection[RoomName]) -> None:
        """The hub has taken it out of rooms."""
        self.room_set = without_rooms(self.room_set, rooms)
        if self.positions is not None:
            self.positions.leave(rooms)

    # What is written to it

    def sink_changed(self) -> None:
        """The outbox's sink has changed, or whether frames are held. Notifies the hub. See `outbound.sink`."""
        self.sink = self.transport.outbox.sink if self._blocked is None else None
        self.mounted.hub.sink_changed(self)

    @property
    def behind(self) -> bool:
        """Whether the client reads so slowly that volatile events should be dropped."""
        return self.transport.outbox.behind

    def flush(self) -> None:
        """Write the broadcasts that wait for the end of the tick: something else is about to be written."""
        self.mounted.hub.flush()

    @property
    def held(self) -> bool:
        """Whether frames are held: see `hold`."""
        return isinstance(self._blocked, HeldFrames)

    def push(self, frame: Frame, rooms: tuple[RoomName, ...] | None = None, takes: Taker | None = None) -> None:
        """Write a frame, or keep it while the connection is held. Called for each recipient without a `sink`.

        `rooms` is where the frame was broadcast (empty: to users or to all; None: to this client alone). If the frame
        is kept, `takes` is called when it is about to be written, and says whether the connection gets it.
        """
        if rooms is None:
            mounted = self.mounted
            mounted.hub.flush()
            if self.positions is not None:
                frame = self.positions.own(frame)
            if mounted.frames is not None:
                mounted.frames.value += 1
                mounted.bytes.value += frame.size
        blocked = self._blocked
        if blocked is None:
            self.transport.outbox.push(frame)
        elif isinstance(blocked, HeldFrames) and blocked.add(frame, rooms, takes) > self.mounted.held_bytes:
            self.end(1013, TOO_SLOW)

    def hold(self) -> int:
        """Hold every frame until `release`: CONNECT is not answered yet, or membership is uncertain. May be nested.

        Returns how many frames are held already.
        """
        self.flush()
        blocked = self._blocked
        if isinstance(blocked, HeldFrames):
            blocked.holds += 1
            return len(blocked)
        if blocked is None:
            self._blocked = HeldFrames()
            self.sink_changed()
        return 0

    def insert(self, frames: Iterable[Frame], at: int, room: RoomName | None, unless: Frame | None = None) -> None:
        """Put frames before those held since `hold` returned `at`. See `HeldFrames.insert`."""
        self.flush()
        if isinstance(self._blocked, HeldFrames):
            self._blocked.insert(frames, at, room, unless)

    def drop_held_broadcasts(self) -> None:
        """Drop the broadcasts that are held until now: the client gets them from history."""
        self.flush()
        if isinstance(self._blocked, HeldFrames):
            self._blocked.drop_broadcasts()

    def release(self) -> None:
        """End a `hold`. The last call writes the held frames, except those of rooms that were left since."""
        self.flush()  # what waits for the end of the tick was broadcast while the connection was held
        held = self._blocked
        if not isinstance(held, HeldFrames):
            return
        held.holds -= 1
        if held.holds:
            return
        self._blocked = None
        for frame, rooms, takes in held.frames:
            if rooms and not any(room in self.room_set for room in rooms):
                continue
            if takes is None or not self.transport.outbox.has_room(frame) or (not self.closed and takes()):
                self.transport.outbox.push(frame)
        self.sink_changed()

    def open(self, answer: Frame | None) -> None:
        """End the first `hold`: write the answer to CONNECT, then what `on_connect` sent, then broadcasts."""
        self.flush()  # as in `release`. It may end the client, which then gets no answer
        held = self._blocked
        if isinstance(held, HeldFrames):
            if answer is not None:
                self.transport.outbox.push(answer)
            own = held.take_own()
            for frame in own if self.positions is None else self.positions.opening(own):
                self.transport.outbox.push(frame)
        self.release()


def internal(connection: Connection) -> InternalConnection:
    """The internal connection of a `Connection` that host code has passed in."""
    return connection._internal
