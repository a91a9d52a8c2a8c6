"""All clients see one order of events. Hub, batches, holds, outboxes and writers are compared with a model."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.contracts import MountedGateway
from asgi_realtime.hub.recipients import FEW
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.outbound.frame_writer import FrameWriting
from asgi_realtime.outbound.frames_extension import WriteListener
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.outbound.sink import NO_DESCRIPTOR
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.protocols.rfc6455.deflate import inflate
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.values.commands import AddToRoom, CloseRoom, Command, DisconnectUser, RemoveFromRoom
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication, Target, ToAll, ToRoom, ToRooms, ToUsers
from tests.support.at_once import at_once
from tests.support.recording import World

T = TypeVar("T")

LIMITS = Limits(outbox_bytes=600)
JSON = GatewayName("/json")
DIALECTS: dict[GatewayName, Dialect] = {
    JSON: JSONDialect(),
    **{GatewayName(name): SocketIODialect(name) for name in ("/", "/other")},
}
"""Each is a gateway. A client of Socket.IO may be on both of its gateways, over one transport."""
USERS = [UserId("ann"), UserId("bob")]
ROOMS = [RoomName(name) for name in ("server", "channel", "ann")]
PARENTS = {RoomName("channel"): RoomName("server")}
PADDING = [0, 0, 0, 50, 250, 70_000]
"""What an event carries, in bytes. The largest fills a batch, and is over every limit."""

Kind: TypeAlias = Literal["frames", "deflating", "socket", "deflating socket", "pulled"]
"""How a client is written to: by the frames extension, plain or compressed, and perhaps by its socket's descriptor; or
by what reads its outbox (a poll, or the task that writes to ASGI `send`)."""
Item: TypeAlias = str | bytes
"""An event's name in its text, or one of its attachments."""
Content: TypeAlias = tuple[str, bytes, tuple[bytes, ...]]
"""An event's name, payload and attachments."""


class Wire:
    """The transport below a writer. It accepts as many bytes as the client's kernel buffers."""

    is_open = True
    descriptor = NO_DESCRIPTOR

    def __init__(self, *, deflate: bool) -> None:
        self.deflate = deflate
        self.listener: WriteListener | None = None
        self.room: int | None = None  # bytes that the kernel still accepts. None: no limit
        self.taken = bytearray()
        self._held = bytearray()

    @property
    def buffered(self) -> int:
        return len(self._held)

    def write(self, frames: bytes) -> None:
        assert not self._held, "written while the kernel accepts nothing"
        self._held += frames
        self._move()
        if self._held and self.listener is not None:
            self.listener.pause_writing()

    def read(self, room: int | None) -> None:
        """Let the kernel accept this many more bytes."""
        self.room = room
        behind = bool(self._held)
        self._move()
        if behind and not self._held and self.listener is not None:
            self.listener.resume_writing()

    def _move(self) -> None:
        count = len(self._held) if self.room is None else min(self.room, len(self._held))
        self.taken += self._held[:count]
        del self._held[:count]
        if self.room is not None:
            self.room -= count

    def close(self) -> None: ...

    def messages(self) -> Iterator[Item]:
        """All bytes written, including those that the kernel has not accepted."""
        data, at = bytes(self.taken + self._held), 0
        while at < len(data):
            opcode, compressed, length = data[at] & 0x0F, data[at] & 0x40, data[at + 1]
            wide = {126: 2, 127: 8}.get(length, 0)
            start = at + 2 + wide
            if wide:
                length = int.from_bytes(data[at + 2 : start])
            at = start + length
            assert at <= len(data), "a part of a frame was written"
            message = inflate(data[start:at], 100_000) if compressed else data[start:at]
            assert message is not None and (self.deflate or not compressed)
            yield message.decode() if opcode == 1 else message


class SocketWire(Wire):
    """The same with a real socket, for a fan-out by descriptors. It is full except for what `read` makes free."""

    def __init__(self, *, deflate: bool) -> None:
        super().__init__(deflate=deflate)
        self._socket, self._client = socket.socketpair()
        for end in (self._socket, self._client):
            end.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        self.descriptor = self._socket.fileno()
        self._filling = 0

    def _fill(self) -> None:
        """Fill the socket with bytes that are dropped when they are read."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._filling += self._socket.send(b" ")

    def _drain(self) -> None:
        """Read the bytes that the kernel buffers."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                data += self._client.recv(65_536)
        # It was empty when it was filled, and is full: so it contains nothing but the filling.
        assert not self._filling or len(data) == self._filling
        self.taken += data[self._filling :]
        self._filling = 0

    def _move(self) -> None:
        left = self.room
        self._drain()
        while self._held and left != 0:
            with contextlib.suppress(BlockingIOError):
                sent = self._socket.send(self._held[:left])
                del self._held[:sent]
                left = None if left is None else left - sent
            self._drain()
        self.room = left
        if left == 0:
            self._fill()

    def messages(self) -> Iterator[Item]:
        self._drain()
        if self.room == 0:
            self._fill()
        return super().messages()

    def close(self) -> None:
        self._socket.close()
        self._client.close()


class Client:
    """One transport, what was written to it, and what the model expects."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.seats: list[Seat] = []
        self.expected: list[tuple[Item, int]] = []
        """In order; with the bytes that each is."""
        self.droppable: dict[Item, list[Item]] = {}
        """By its first item, the items of each volatile event that may be dropped when it is written."""
        self.outbox = Outbox(LIMITS.outbox_bytes, self)
        self.outbox.sink_listener = self
        self.cut = False
        self.wire = (SocketWire if "socket" in kind else Wire)(deflate="deflating" in kind)
        self._pulled: list[Item] = []
        self._clock = 0
        if kind != "pulled":
            FrameWriting(self.outbox, self.wire).start()

    def overflowed(self) -> None:
        self.cut = True
        for seat in self.seats:
            seat.connection.end(1013, "too slow")

    def sink_changed(self) -> None:
        for seat in self.seats:
            seat.connection.sink_changed()

    def read(self, room: int | None) -> None:
        """Let the client read this many bytes, or everything from now on."""
        if self.kind != "pulled":
            self.wire.read(room)
            return
        self._clock += 1
        for frame in self.outbox.take(room):
            # Frames are read alternately as a poll and as ASGI events, if the text of a poll separates the messages.
            if self._clock % 2:
                self._pulled += [event["text"] if "text" in event else event["bytes"] for event in frame.asgi]
            else:
                assert frame.polling.count("\x1e") == len(frame.messages) - 1
                self._pulled += frame.messages

    @property
    def got(self) -> list[Item]:
        """The events and attachments written so far."""
        written = self._pulled if self.kind == "pulled" else self.wire.messages()
        return [event_in(message) if isinstance(message, str) else message for message in written]

    def settle(self, *, over: bool = False) -> None:
        """Compare what was written with what the model expects, without the volatile events that were dropped.

        `over`: nothing waits any more.
        """
        got = self.got
        for place, item in enumerate(got):
            while place < len(self.expected) and self.expected[place][0] != item and self._drop(place):
                pass
        while over and len(got) < len(self.expected) and self._drop(len(got)):
            pass
        assert got == [item for item, _ in self.expected[: len(got)]]

    def _drop(self, place: int) -> bool:
        items = self.droppable.pop(self.expected[place][0], None)
        if items is None:
            return False
        assert [item for item, _ in self.expected[place : place + len(items)]] == items
        del self.expected[place : place + len(items)]
        return True

    @property
    def waiting(self) -> int:
        """The bytes that the model expects and that were not written yet. Some of them may be dropped."""
        return sum(size for _, size in self.expected[len(self.got) :])

    @property
    def sure(self) -> int:
        """The same without volatile events that may be dropped."""
        may = {item for items in self.droppable.values() for item in items}
        return sum(size for item, size in self.expected[len(self.got) :] if item not in may)


def event_in(text: str) -> str:
    found = re.search(r"event\d+", text)
    assert found is not None
    return found.group()


class Seat:
    """A client on one gateway: the transport of its connection, and the model's state of it."""

    def __init__(self, client: Client, gateway: GatewayName, user: UserId) -> None:
        self.client = client
        self.gateway = gateway
        self.user = user
        self.connection: InternalConnection
        self.ended = False
        """Closed by a caller, not for reading slowly."""
        self.closes: list[int] = []
        self.kind = "websocket"
        self.answered_at: float | None = None
        self.leave_hub: Callable[[], None]
        self.rooms: set[RoomName] = set()
        self.opened = True
        self.holds = 0
        self.held: list[tuple[list[RoomName] | None, list[tuple[Item, int]]]] = []
        """Rooms (None: sent to it alone; empty: to users or all), and the items."""
        self.was_held = 0
        """The bytes that were held before the last hold ended."""

    # The transport of a connection

    @property
    def outbox(self) -> Outbox:
        return self.client.outbox

    def close(self, code: int, reason: str) -> None:
        self.closes.append(code)
        self.leave_hub()

    def abandon(self) -> None:
        raise AssertionError("no client of these tests recovers")

    def attempted(self, budget: Budget) -> bool:
        return True

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        raise NotImplementedError

    # The model

    def expect(self, rooms: list[RoomName] | None, items: list[tuple[Item, int]]) -> None:
        if self.holds:
            self.held.append((rooms, items))
        else:
            self.client.expected += items

    def release(self) -> None:
        self.holds -= 1
        if not self.holds:
            for rooms, items in self.held:
                if not rooms or not self.rooms.isdisjoint(rooms):
                    self.client.expected += items
            self.held = []

    def open(self, answer: list[tuple[Item, int]]) -> None:
        self.opened = True
        self.client.expected += answer
        for rooms, items in self.held:
            if rooms is None:
                self.client.expected += items
        self.held = [item for item in self.held if item[0] is not None]
        self.release()

    @property
    def held_bytes(self) -> int:
        """The bytes that are held. Volatile events among them may have been dropped."""
        return sum(size for _, items in self.held for _, size in items)

    @property
    def surely_held(self) -> int:
        """The same without volatile events."""
        held = [items for _, items in self.held if items[0][0] not in self.client.droppable]
        return sum(size for items in held for _, size in items)

    @property
    def overflows(self) -> bool:
        """Whether the held frames exceed the limit. The client is then closed at the latest when the hold ends."""
        return self.surely_held > LIMITS.outbox_bytes

    def may_have_ended(self, *answer: list[tuple[Item, int]]) -> None:
        """If the seat has been closed, what is held may have been dropped, and the answer to CONNECT."""
        self.was_held = self.held_bytes
        if self.closes:
            for items in (*answer, *(items for _, items in self.held)):
                self.client.droppable[items[0][0]] = [item for item, _ in items]


class FanOut:
    """A hub and the model of it. Each public method is a step. Its arguments select the client, room or event.

    Most of what happens concerns the connection and the room looked at, or what is left to chance would
    hardly ever happen to one of them twice.
    """

    def __init__(self, kinds: list[Kind], gateways: list[GatewayName], rooms: set[RoomName]) -> None:
        """Start with some clients in the same rooms."""
        self.world = World(LIMITS, with_host=False)
        for gateway, dialect in DIALECTS.items():
            self.world.hub.mount(gateway, dialect, LIMITS)
        self.clients: list[Client] = []
        self.seats: list[Seat] = []
        self.here: list[Seat] = []
        self.numbers = itertools.count(1)
        for number, kind in enumerate(kinds):
            self.connect(kind, gateways, USERS[number % 2], True)
        for place, room in itertools.product(range(len(self.here)), sorted(rooms)):
            self.look(place, room)
            self.join(False)
        self.look(0, ROOMS[0])

    # Connections come and go

    def look(self, place: int, room: RoomName) -> None:
        self.at, self.room = self.seats[place % len(self.seats)], room

    def connect(self, kind: Kind, gateways: list[GatewayName], user: UserId, opened: bool) -> None:
        client = Client(kind)
        self.clients.append(client)
        client.seats = [self.seat(client, gateway, user, opened) for gateway in gateways]

    def seat(self, client: Client, gateway: GatewayName, user: UserId, opened: bool) -> Seat:
        seat = Seat(client, gateway, user)
        hub = self.world.hub
        connection = seat.connection = InternalConnection(
            id=ConnectionId(f"c{next(self.numbers)}"),
            identity=Identity(user_id=user),
            handshake=Handshake(gateway=gateway),
            mounted=MountedGateway(
                name=gateway, dialect=DIALECTS[gateway], hub=hub, held_bytes=LIMITS.outbox_bytes, meter=Meter()
            ),
            transport=seat,
            inbox=Inbox(self.world.tasks, LIMITS),
        )
        seat.leave_hub = lambda: hub.remove(connection)
        if not opened:  # as during `on_connect`
            connection.hold()
            seat.holds, seat.opened = 1, False
        hub.add(connection)
        self.seats.append(seat)
        self.here.append(seat)
        return seat

    def open(self) -> None:
        seat = self.at
        if not seat.opened and seat in self.here:
            answer, items = self.event(seat.gateway)
            seat.connection.open(answer)
            if not seat.overflows:
                seat.may_have_ended(items)
                seat.open(items)

    def end(self, how: str) -> None:
        if how == "alone":
            self.at.connection.end(4001, "")
            ended = [self.at]
        else:
            gateway = self.at.gateway if how == "on the gateway" else None
            self.apply(DisconnectUser(gateway, self.at.user, 4001, ""))
            ended = self.of_user(self.at.user, gateway)
        for seat in ended:
            seat.ended = True

    # Rooms

    def join(self, by_command: bool) -> None:
        if by_command:
            self.apply(AddToRoom(self.at.gateway, self.at.user, self.room, PARENTS.get(self.room)))
        else:
            at_once(self.at.connection.public.join(self.room, parent=PARENTS.get(self.room)))
        for seat in self.of_user(self.at.user, self.at.gateway) if by_command else [self.at]:
            seat.rooms.add(self.room)

    def leave(self, how: str) -> None:
        if how == "alone":
            at_once(self.at.connection.public.leave(self.room))
            left = [self.at]
        elif how == "everybody":
            self.apply(CloseRoom(self.at.gateway, self.room))
            left = self.on(self.at.gateway)
        else:
            self.apply(RemoveFromRoom(self.at.gateway, self.at.user, self.room))
            left = self.of_user(self.at.user, self.at.gateway)
        for seat in left:
            self.take_out(seat)

    def take_out(self, seat: Seat) -> None:
        seat.rooms -= {self.room} | {below for below, above in PARENTS.items() if above == self.room}

    def apply(self, command: Command) -> None:
        assert self.world.hub.apply(command) is None

    def on(self, gateway: GatewayName) -> list[Seat]:
        return [seat for seat in self.here if seat.gateway == gateway]

    def of_user(self, user: UserId, gateway: GatewayName | None = None) -> list[Seat]:
        return [seat for seat in self.here if seat.user == user and gateway in (None, seat.gateway)]

    # Sending

    def event(
        self, gateway: GatewayName, padding: int = 0, attachments: int = 0
    ) -> tuple[Frame, list[tuple[Item, int]]]:
        """The next event, as sent and as the model stores it."""
        content = self.content(gateway, padding, attachments)
        return DIALECTS[gateway].event(*content), self.items(gateway, content)

    @staticmethod
    def items(gateway: GatewayName, content: Content) -> list[tuple[Item, int]]:
        name, _, binary = content
        text, *_ = DIALECTS[gateway].event(*content).messages
        return [(name, len(text)), *((attachment, len(attachment)) for attachment in binary)]

    def content(self, gateway: GatewayName, padding: int, attachments: int) -> Content:
        name = f"event{next(self.numbers)}"
        count = attachments if DIALECTS[gateway].binary else 0
        binary = tuple(f"{number} of {name}".encode() for number in range(count))
        places = [{"_placeholder": True, "num": number} for number in range(count)]
        return name, json.dumps([*places, "x" * padding]).encode(), binary

    def broadcast(
        self, target: Target, meant: list[Seat], spared: list[Seat], content: Content, volatile: bool
    ) -> None:
        gateway, (name, payload, binary) = self.at.gateway, content
        expected = [seat for seat in meant if seat.gateway == gateway and seat not in spared]
        counted = [seat for seat in expected if not (volatile and seat.connection.behind)]
        publication = Publication(
            gateway=gateway,
            target=target,
            event=name,
            payload=payload,
            attachments=binary,
            except_=tuple(seat.connection.id for seat in spared),
            volatile=volatile,
        )
        assert self.world.hub.deliver(publication) == len(counted)
        rooms = [target.room] if isinstance(target, ToRoom) else [*target.rooms] if isinstance(target, ToRooms) else []
        for seat in expected:
            items = self.items(gateway, content)
            seat.expect(rooms, items)
            if volatile and seat.connection.sink is None:
                seat.client.droppable[name] = [item for item, _ in items]

    def to_many(
        self, to: str | list[UserId], spared: list[int], padding: int, attachments: int, volatile: bool
    ) -> None:
        if to == "room":
            meant = [seat for seat in self.here if self.room in seat.rooms]
            target: Target = ToRoom(self.room)
        elif to == "rooms":
            meant, target = [seat for seat in self.here if seat.rooms], ToRooms(tuple(ROOMS))
        elif to == "all":
            meant, target = self.here, ToAll()
        else:
            to = [self.at.user] if to == "user" else to
            meant = [seat for seat in self.here if seat.user in to]
            target = ToUsers(tuple(UserId(user) for user in to))
        left_out = [self.seats[place % len(self.seats)] for place in spared]
        content = self.content(self.at.gateway, padding, attachments)
        self.broadcast(target, meant, left_out, content, volatile)

    def to_one(self, padding: int, attachments: int) -> None:
        frame, items = self.event(self.at.gateway, padding, attachments)
        self.at.connection.push(frame)
        if self.at in self.here:
            self.at.expect(None, items)

    # Ticks, holds and refreshes

    def tick(self) -> None:
        self.world.tick()

    def hold(self) -> None:
        """Hold the frames, as while a host is asked for rooms."""
        self.at.connection.hold()
        self.at.holds += 1

    def release(self, lost: bool) -> None:
        """End the hold, as after the answer of the host, which may omit a room."""
        if self.at.holds > (not self.at.opened):
            if lost:
                self.leave("alone")
            self.at.connection.release()
            if not self.at.overflows:
                self.at.may_have_ended()
                self.at.release()

    def read(self, room: int | None) -> None:
        self.at.client.read(room)

    # Invariants

    def agrees(self) -> None:
        for seat in list(self.here):
            if seat.closes:
                self.forget(seat)
        for gateway in DIALECTS:
            assert set(self.world.hub.rooms(gateway).everybody) == {seat.connection for seat in self.on(gateway)}
        for seat in self.here:
            assert seat.connection.rooms == seat.rooms
            assert not seat.ended
            assert not seat.connection.behind or seat.client.waiting * 2 > LIMITS.outbox_bytes
            assert self.world.ticks or seat.surely_held <= LIMITS.outbox_bytes, "not closed although over the limit"
        for client in self.clients:
            outbox = client.outbox
            assert outbox.size <= LIMITS.outbox_bytes or len(outbox) == 1
            client.settle()
            if not self.world.ticks and not client.cut:
                assert client.sure <= outbox.size <= client.waiting, "frames are missing, and no tick is in progress"

    def forget(self, seat: Seat) -> None:
        (code,) = seat.closes
        self.here.remove(seat)
        if code == 1013:
            assert max(seat.client.waiting, seat.held_bytes, seat.was_held) > LIMITS.outbox_bytes, (
                "closed although below the limit"
            )
        else:
            assert seat.ended
        seat.ended, seat.held = False, []

    def finish(self) -> None:
        self.world.tick()
        for client in self.clients:
            client.read(None)
        self.agrees()
        for client in self.clients:
            if not client.cut:
                client.settle(over=True)
                assert len(client.got) == len(client.expected)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(name), st.tuples(*arguments))


def often(*weighted: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """One of these strategies, by weight. `one_of` has no weights."""
    return st.sampled_from([strategy for weight, strategy in weighted for _ in range(weight)]).flatmap(lambda s: s)


places = st.integers(0, 6)
rooms = st.sampled_from(ROOMS)
users = st.sampled_from(USERS)
kinds: st.SearchStrategy[Kind] = st.sampled_from(
    ["frames", "deflating", "socket", "socket", "deflating socket", "pulled"]
)
placings = st.sampled_from([[JSON], [GatewayName("/")], [GatewayName("/"), GatewayName("/other")]])
broadcasts = step(
    "to_many",
    often(
        (4, st.just("room")),
        (1, st.just("rooms")),
        (1, st.just("all")),
        (2, st.just("user")),
        (2, st.lists(users, min_size=1, max_size=3)),
    ),
    often((4, st.just([])), (1, st.lists(places, max_size=2))),
    st.sampled_from(PADDING),
    st.sampled_from([0, 0, 0, 2]),
    st.sampled_from([False, False, True]),
)
steps = often(
    (2, step("tick")),
    (2, step("look", places, rooms)),
    (8, broadcasts),
    (3, step("to_one", st.sampled_from(PADDING), st.sampled_from([0, 0, 2]))),
    (3, step("read", st.sampled_from([0, 0, 100, 1000, None]))),
    (2, step("hold")),
    (2, step("release", st.booleans())),
    (2, step("join", st.booleans())),
    (2, step("leave", st.sampled_from(["alone", "alone", "every connection of the user", "everybody"]))),
    (1, step("connect", kinds, placings, users, st.booleans())),
    (1, step("open")),
    (1, step("end", st.sampled_from(["alone", "alone", "on the gateway", "everywhere"]))),
)


@pytest.mark.timeout(240)
@settings(max_examples=300)
@given(
    kinds=often((3, st.lists(kinds, min_size=1, max_size=4)), (1, st.lists(kinds, min_size=FEW + 1, max_size=FEW + 4))),
    gateways=placings,
    rooms=st.sets(rooms, min_size=1),
    steps=st.lists(steps, min_size=20, max_size=50),
)
def test_every_client_receives_broadcasts_in_the_same_order(
    kinds: list[Kind], gateways: list[GatewayName], rooms: set[RoomName], steps: list[tuple[str, tuple[Any, ...]]]
) -> None:
    fan_out = FanOut(kinds, gateways, rooms)
    try:
        for name, arguments in steps:
            getattr(fan_out, name)(*arguments)
            fan_out.agrees()
        fan_out.finish()
    finally:
        for client in fan_out.clients:
            client.wire.close()
