"""The connections of this process: fan-out, membership, commands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import msgspec
import pytest

from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.connection.connection import Connection, InternalConnection
from asgi_realtime.errors import BrokerUnavailable, Forbidden, RateLimited, Unauthorized
from asgi_realtime.hub.recipients import FEW
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.runtime.batches import AT_ONCE
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectConnection,
    DisconnectUser,
    EndAll,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    TakeOver,
)
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, ReplyTo, Target, ToAll, ToRoom, ToRooms, ToUsers
from tests.support.at_once import at_once
from tests.support.held_permission import HeldPermission
from tests.support.recording import GATEWAY, RecordedCloses, RecordingTransport, World

ANN, BOB = UserId("ann"), UserId("bob")
OTHER = GatewayName("/not mounted")


def publication(
    event: str, target: Target, *, except_: tuple[ConnectionId, ...] = (), volatile: bool = False
) -> Publication:
    return Publication(gateway=GATEWAY, target=target, event=event, except_=except_, volatile=volatile)


class SlowHistory(MemoryBroker):
    """A broker behind a simulated network. It reads history before or after the wait, or not at all."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        found = await super().latest(gateway, room, event, since=since)
        self.asked.set()
        await self.go.wait()
        if self.when == "never":
            raise BrokerUnavailable("gone")
        return found if self.when == "before" else await super().latest(gateway, room, event, since=since)


@pytest.mark.parametrize(
    ("when", "known", "expected"),
    [
        # "1" is older than the membership. The others are published during the read, so a late read contains them.
        ("before", None, ["1", "2", "other", "3", "4"]),
        ("after", None, ["2", "other", "3", "4"]),
        ("before", 7, ["7", "2", "other", "3", "4"]),
        ("after", 7, ["2", "other", "3", "4"]),
        ("never", None, []),
    ],
)
async def test_the_latest_event_is_delivered_once_and_before_later_events(
    when: str, known: int | None, expected: list[str]
) -> None:
    broker = SlowHistory(when)
    world = World(broker=broker)
    await broker.start(world.hub)
    connection, transport = world.admit()

    async def publish(text: str) -> None:
        event, payload = ("other", b"") if text == "other" else ("status", text.encode())
        await broker.publish(Publication(gateway=GATEWAY, target=ToRoom(RoomName("job")), event=event, payload=payload))

    async def answer() -> int | None:
        return known

    await publish("1")
    joining = asyncio.create_task(connection.public.join("job", latest="status", known=answer))
    await broker.asked.wait()
    for text in ("2", "other", "3"):
        await publish(text)
    broker.go.set()
    if when == "never":
        with pytest.raises(BrokerUnavailable):
            await joining
    else:
        await joining
    await publish("4")
    world.tick()
    seen = [json.loads(text) for text in transport.written]
    assert [str(frame.get("data", frame["type"])) for frame in seen] == expected
    assert connection.rooms == (set() if when == "never" else {RoomName("job")})


async def test_the_latest_event_is_not_sent_to_a_connection_that_it_left_out() -> None:
    broker = MemoryBroker()
    world = World(broker=broker)
    await broker.start(world.hub)
    ann, to_ann = world.admit("ann")
    bob, to_bob = world.admit("bob")
    await broker.publish(publication("status", ToRoom(RoomName("job")), except_=(ann.id,)))
    for connection in (ann, bob):
        await connection.public.join("job", latest="status")
    world.tick()
    assert to_ann.written == []
    assert [json.loads(text)["type"] for text in to_bob.written] == ["status"]


@pytest.mark.parametrize(
    ("command", "gets_in"),
    [
        (RemoveFromRoom(GATEWAY, ANN, RoomName("room")), False),
        (RemoveFromRoom(GATEWAY, ANN, RoomName("above")), False),
        (CloseRoom(GATEWAY, RoomName("room")), False),
        (RemoveFromRoom(GATEWAY, BOB, RoomName("room")), True),
        (RemoveFromRoom(GATEWAY, ANN, RoomName("other")), True),
        (RemoveFromRoom(OTHER, ANN, RoomName("room")), True),
        (AddToRoom(GATEWAY, BOB, RoomName("room")), True),
    ],
)
async def test_a_member_removed_during_the_host_call_is_not_admitted(command: Command, gets_in: bool) -> None:
    world = World()
    connection, _ = world.admit("ann")
    permission = HeldPermission()
    joining = asyncio.create_task(connection.public.join("room", parent="above", allowed=permission))
    await permission.asked.wait()
    world.hub.apply(command)
    permission.answer.set()
    if gets_in:
        await joining
    else:
        with pytest.raises(Forbidden):
            await joining
    assert connection.rooms == ({RoomName("room")} if gets_in else set())


async def test_a_room_that_was_left_while_held_sends_nothing_of_the_last_tick() -> None:
    world = World()
    connection, transport = world.admit()
    await connection.public.join("room")
    connection.hold()
    world.hub.deliver(publication("secret", ToRoom(RoomName("room"))))
    await connection.public.leave("room")
    connection.release()
    world.tick()
    assert transport.written == []


async def test_each_target_reaches_its_recipients_only() -> None:
    world = World()
    ann, to_ann = world.admit("ann")
    _, to_ann_too = world.admit("ann")
    bob, to_bob = world.admit("bob")
    await ann.public.join("room")
    await bob.public.join("room")
    assert world.deliver(publication("room", ToRoom(RoomName("room")))) == 2
    assert world.deliver(publication("user", ToUsers((ANN,)))) == 2
    assert world.deliver(publication("users", ToUsers((ANN, BOB, ANN)))) == 3
    assert world.deliver(publication("all", ToAll())) == 3
    assert world.deliver(publication("but", ToAll(), except_=(ann.id, bob.id))) == 1
    assert world.deliver(publication("rooms", ToRooms((RoomName("empty"), RoomName("room"), RoomName("room"))))) == 2
    assert world.deliver(publication("none", ToRoom(RoomName("empty")))) == 0
    assert world.deliver(Publication(gateway=OTHER, target=ToAll(), event="x")) == 0
    assert to_ann.events == ["room", "user", "users", "all", "rooms"]
    assert to_ann_too.events == ["user", "users", "all", "but"]
    assert to_bob.events == ["room", "users", "all", "rooms"]


async def test_volatile_events_skip_clients_that_are_behind() -> None:
    world = World()
    _, quick = world.admit()
    _, slow = world.admit()
    slow.stall()
    assert world.deliver(publication("typing", ToAll(), volatile=True)) == 1
    assert world.deliver(publication("message", ToAll())) == 2
    slow.read()
    assert (quick.events, slow.events) == (["typing", "message"], ["message"])


def members(world: World, count: int) -> list[tuple[InternalConnection, RecordingTransport]]:
    """Connections, each of another user, all in the rooms "a" and "b"."""
    found = [world.admit(f"user{number}") for number in range(count)]
    for connection, transport in found:
        transport.take_broadcasts()
        for room in ("a", "b"):
            at_once(connection.public.join(room))
    return found


TARGETS: dict[str, Target] = {
    "a room": ToRoom(RoomName("a")),
    "rooms": ToRooms((RoomName("a"), RoomName("b"))),
    "users": ToUsers(tuple(UserId(f"user{number}") for number in range(FEW + 2))),
    "a user": ToUsers((UserId("user0"),)),
    "all": ToAll(),
}


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("volatile", [True, False])
def test_broadcasts_of_one_tick_are_written_at_once(to: str, volatile: bool) -> None:
    world = World()
    found = members(world, FEW + 2)
    for number in range(16):
        reached = 1 if to == "a user" else len(found)
        assert world.hub.deliver(publication(f"event{number}", TARGETS[to], volatile=volatile)) == reached
    world.tick()
    assert [transport.writes for _, transport in found] == [1] * reached + [0] * (len(found) - reached)
    for _, transport in found[:reached]:
        assert transport.events == [f"event{number}" for number in range(16)]


def test_broadcasts_to_a_user_with_many_connections_are_written_at_once() -> None:
    world = World()
    transports = [world.admit("ann")[1] for _ in range(FEW + 2)]
    for transport in transports:
        transport.take_broadcasts()
    for number in range(16):
        assert world.hub.deliver(publication(f"event{number}", ToUsers((ANN,)))) == len(transports)
    world.tick()
    assert [transport.writes for transport in transports] == [1] * len(transports)


@pytest.mark.parametrize("to", ["a room", "rooms", "users", "all"])
def test_broadcasts_that_leave_out_their_senders_are_written_at_once(to: str) -> None:
    world = World()
    found = members(world, FEW + 2)
    elsewhere, _ = world.connection("user0")  # as a connection of another process
    for number in range(6):
        sender = found[number % 3][0]
        left_out = (sender.id, elsewhere.id, sender.id)
        assert world.hub.deliver(publication(f"event{number}", TARGETS[to], except_=left_out)) == len(found) - 1
    world.tick()
    assert [transport.writes for _, transport in found] == [1] * len(found)
    for place, (_, transport) in enumerate(found):
        assert transport.events == [f"event{number}" for number in range(6) if number % 3 != place]


def test_a_connection_of_another_room_is_not_counted_among_those_left_out() -> None:
    world = World()
    members(world, 2)
    outside, _ = world.admit("outside")
    for to in ("a room", "rooms", "users", "a user"):
        assert world.deliver(publication("event", TARGETS[to], except_=(outside.id,))) == (1 if to == "a user" else 2)


def test_volatile_events_of_one_tick_do_not_end_a_client() -> None:
    world = World(Limits(outbox_bytes=1000))
    _, transport = world.admit()
    transport.outbox.wake = None
    for number in range(5):
        large = Publication(gateway=GATEWAY, target=ToAll(), event=f"e{number}", payload=b'"' + b"x" * 300 + b'"')
        world.hub.deliver(msgspec.structs.replace(large, volatile=True))
    world.tick()
    assert len(transport.outbox) == 2, "the third is dropped, because more than half waits"


def test_a_batch_is_bounded_in_the_connections_that_its_broadcasts_leave_out() -> None:
    world = World()
    found = members(world, 70)
    for connection, _ in found[:63]:
        world.hub.deliver(publication("event", ToAll(), except_=(connection.id,)))
    world.hub.deliver(publication("event", ToAll(), except_=(found[0][0].id,)))
    assert not any(transport.writes for _, transport in found)
    world.hub.deliver(publication("event", ToAll(), except_=(found[69][0].id,)))
    assert [transport.writes for _, transport in found] == [1] * 70


def test_broadcasts_to_a_user_and_to_its_rooms_are_held_apart() -> None:
    world = World()
    connection, transport = world.admit("user0")
    for room in ("a", "b"):
        at_once(connection.public.join(room))
    connection.hold()
    for to in ("a user", "rooms", "a user"):
        world.hub.deliver(publication(to, TARGETS[to]))
    for room in ("a", "b"):
        at_once(connection.public.leave(room))
    connection.release()
    assert transport.events == ["a user", "a user"]


@pytest.mark.parametrize("to", ["a room", "rooms", "users", "all"])
def test_a_sink_that_is_gone_gets_nothing_that_waited_for_it(to: str) -> None:
    """Its descriptor may belong to another client by then."""
    world = World()
    found = members(world, FEW + 2)
    assert world.deliver(publication("one", TARGETS[to])) == len(found)
    world.hub.deliver(publication("two", TARGETS[to]))
    new, _ = world.admit("new")  # the lists of recipients are dropped, and the batch has one of them
    at_once(new.public.join("a"))
    _, transport = found[0]
    transport.outbox.wake = None
    transport.outbox.set_sink(None)
    world.tick()
    assert (transport.writes, len(transport.outbox)) == (1, 1)


@pytest.mark.parametrize("change", ["join", "leave", "remove", "add"])
@pytest.mark.parametrize("to", ["rooms", "users"])
def test_the_recipients_of_several_rooms_or_users_follow_each_change(to: str, change: str) -> None:
    world = World()
    found = members(world, FEW + 2)
    other, to_other = world.admit("other")
    assert world.deliver(publication("one", TARGETS[to])) == len(found)
    assert world.rooms.recipients(TARGETS[to]) is world.rooms.recipients(TARGETS[to]), "they are kept"
    world.hub.deliver(publication("two", TARGETS[to]))
    first, to_first = found[0]
    if change == "join":
        at_once(other.public.join("b"))
    elif change == "leave":
        for room in ("a", "b"):
            at_once(first.public.leave(room))
    elif change == "remove":
        world.hub.remove(first)
    else:
        _, to_other = world.admit("user0")
    world.tick()
    count = world.deliver(publication("three", TARGETS[to]))
    in_rooms = {"join": 1, "leave": -1, "remove": -1, "add": 0}
    of_users = {"join": 0, "leave": 0, "remove": -1, "add": 1}
    change_of_count = (in_rooms if to == "rooms" else of_users)[change]
    assert count == len(found) + change_of_count
    assert to_other.events == (["three"] if change_of_count == 1 else [])
    assert to_first.events == (["one", "two"] if change_of_count == -1 else ["one", "two", "three"])


def test_the_lists_of_several_rooms_are_bounded() -> None:
    world = World()
    members(world, FEW + 1)
    lists = []
    for number in range(20):
        lists.append(world.rooms.recipients(ToRooms((RoomName("a"), RoomName(f"nothing{number}")))))
    kept = [
        world.rooms.recipients(ToRooms((RoomName("a"), RoomName(f"nothing{number}")))) is lists[number]
        for number in range(19, 3, -1)
    ]
    assert kept == [True] * 16
    assert world.rooms.recipients(ToRooms((RoomName("a"), RoomName("nothing0")))) is not lists[0]


@pytest.mark.parametrize("waiting", ["in the outbox", "in the outbox, and the connection is held", "in the batch"])
async def test_the_filter_is_not_asked_for_a_client_whose_outbox_has_no_room(waiting: str) -> None:
    world = World(Limits(outbox_bytes=200))
    asked: list[str] = []

    def recipient_filter(event: Publication) -> Callable[[Connection], bool] | None:
        def takes(connection: Connection) -> bool:
            asked.append(f"{event.event} to {connection.identity.user_id}")
            return True

        return None if event.event == "large" else takes

    world.hub.mount(GATEWAY, JSONDialect(), world.limits, recipient_filter=recipient_filter)
    _, to_ann = world.admit("ann")
    bob, to_bob = world.admit("bob")
    to_bob.outbox.wake = None
    to_bob.may_overflow = True
    held = "held" in waiting
    if held:
        bob.hold()
    if waiting == "in the batch":
        large = Publication(gateway=GATEWAY, target=ToAll(), event="large", payload=b'"' + b"x" * 150 + b'"')
        assert world.hub.deliver(large) == 2
    else:
        to_bob.outbox.push(Frame("x" * 150))
    assert world.deliver(publication("a message with a name as long as fifty characters", ToAll())) == 1 + held
    if held:
        bob.release()
    assert (asked, to_bob.overflows) == (["a message with a name as long as fifty characters to ann"], 1)
    assert len(to_ann.events) == 1 + (waiting == "in the batch")


async def test_a_recipient_that_ends_during_a_fan_out_does_not_affect_the_others() -> None:
    world = World(Limits(outbox_bytes=10))
    slow, to_slow = world.admit()
    slow.hold()
    _, to_other = world.admit()
    for number in range(3):
        world.deliver(publication(f"event{number}", ToAll()))
    assert to_slow.closes == [(1013, "too slow")]
    assert to_other.events == ["event0", "event1", "event2"]
    assert len(world.rooms) == 1


async def test_one_tick_joins_frames_up_to_the_batch_size() -> None:
    world = World()
    _, client = world.admit()
    small = Publication(gateway=GATEWAY, target=ToAll(), event="small")
    large = Publication(gateway=GATEWAY, target=ToAll(), event="large", payload=b'"' + b"x" * 70_000 + b'"')
    world.hub.deliver(small)
    assert client.events == []
    world.hub.deliver(large)
    assert client.events == ["small", "large"]  # written before the end of the tick, so that the outbox counts it
    world.hub.deliver(small)
    assert client.events == ["small", "large"]
    world.tick()
    assert client.events == ["small", "large", "small"]


async def test_connections_of_a_user_are_limited() -> None:
    world = World(Limits(connections_per_user=2))
    first, _ = world.admit("ann")
    world.admit("ann")
    world.admit("bob")
    with pytest.raises(RateLimited):
        world.admit("ann")
    first.end(1000, "")
    world.admit("ann")
    assert len(world.rooms.of_user("ann")) == 2


async def test_a_user_revoked_while_authenticating_is_refused() -> None:
    world = World()
    connection, _ = world.connection("ann", jti="1", iat=time.time())
    world.hub.apply(RevokeToken("1"))
    with pytest.raises(Unauthorized):
        world.hub.add(connection)
    assert not world.rooms.everybody


async def test_revocations_disconnect_the_matching_clients() -> None:
    world = World()
    now = time.time()
    tokens = {jti: world.admit("ann", jti=jti, iat=now - 10)[1] for jti in ("1", "2")}
    later = world.admit("ann", jti="3", iat=now + 10)[1]
    bob = world.admit("bob", jti="4", iat=now - 10)[1]
    world.hub.apply(RevokeToken("1"))
    assert [tokens["1"].closes, tokens["2"].closes] == [[(1008, "credentials revoked")], []]
    world.hub.apply(RevokeUser(ANN, now))
    assert tokens["2"].closes == [(1008, "credentials revoked")]
    assert (later.closes, bob.closes) == ([], [])


async def test_disconnecting_a_user_closes_the_users_connections_to_the_gateway() -> None:
    world = World()
    closed = [world.admit("ann")[1] for _ in range(2)]
    kept = world.admit("bob")[1]
    world.hub.apply(DisconnectUser(OTHER, ANN, 1008, "out"))
    assert not closed[0].closes
    world.hub.apply(DisconnectUser(GATEWAY, ANN, 1008, "out"))
    world.hub.apply(DisconnectUser(None, UserId("unknown"), 1008, "out"))
    assert [transport.closes for transport in closed] == [[(1008, "out")]] * 2
    assert not kept.closes
    assert len(world.rooms) == 1


async def test_disconnecting_a_connection_closes_it_alone() -> None:
    world = World()
    connection, closed = world.admit("ann")
    kept = world.admit("ann")[1]
    world.hub.apply(DisconnectConnection(OTHER, connection.id, 1008, "out"))
    world.hub.apply(DisconnectConnection(GATEWAY, ConnectionId("unknown"), 1008, "out"))
    assert not closed.closes
    world.hub.apply(DisconnectConnection(GATEWAY, connection.id, 1008, "out"))
    assert closed.closes == [(1008, "out")]
    assert not kept.closes


def taking_over(connection: InternalConnection, gateway: GatewayName = GATEWAY) -> TakeOver:
    return TakeOver(
        gateway=gateway,
        user_id=connection.identity.user_id,
        connection_id=connection.id,
        event="kick",
        payload=b"{}",
        code=1008,
        reason="another device",
    )


async def test_a_connection_that_takes_over_closes_the_older_ones_of_the_user() -> None:
    world = World()
    (first, to_first), (second, to_second), (third, to_third) = [world.admit("ann") for _ in range(3)]
    bob, to_bob = world.admit("bob")
    for connection in (bob, first):
        world.hub.apply(taking_over(connection))
    assert world.rooms.of_user(ANN) == (first, second, third)  # the others are closed in later turns
    world.hub.deliver(publication("news", ToAll()))
    second.hold()  # as while it is being accepted
    world.hub.apply(taking_over(second))
    assert to_first.events == ["news", "kick"]
    assert to_first.closes == [(1008, "another device")]
    # A command of another process about one of its own connections.
    elsewhere, _ = world.connection("ann")
    world.hub.apply(taking_over(elsewhere))
    assert to_second.events == ["news", "kick"]
    assert to_second.closes == [(1008, "another device")]
    world.hub.apply(taking_over(third))
    assert world.rooms.of_user(ANN) == (third,)
    assert (to_third.closes, to_bob.closes) == ([], [])


async def test_a_gateway_may_choose_among_the_recipients() -> None:
    world = World()
    world.hub.mount(
        GATEWAY,
        JSONDialect(),
        world.limits,
        recipient_filter=lambda event: None if event.event == "three" else lambda c: c.identity.user_id == BOB,
    )
    _, to_ann = world.admit("ann")
    assert world.deliver(publication("one", ToAll())) == 0
    _, to_bob = world.admit("bob")
    assert world.deliver(publication("two", ToAll())) == 1
    assert world.deliver(publication("three", ToAll())) == 2
    assert (to_ann.events, to_bob.events) == (["three"], ["two", "three"])


async def test_the_choice_for_a_held_connection_is_made_when_the_frame_is_written() -> None:
    world = World()
    asked: list[str] = []

    def recipient_filter(event: Publication) -> Callable[[Connection], bool]:
        def takes(connection: Connection) -> bool:
            asked.append(f"{event.event} to {connection.identity.user_id}")
            if event.event == "broken":
                raise LookupError("the database is away")
            return event.event != "not this"

        return takes

    world.hub.mount(GATEWAY, JSONDialect(), world.limits, recipient_filter=recipient_filter)
    ann, to_ann = world.admit("ann")
    bob, to_bob = world.admit("bob")
    world.deliver(publication("before", ToAll()))
    asked.clear()
    for connection in (ann, bob):
        connection.hold()
    for name in ("one", "not this", "broken", "two"):
        assert world.deliver(publication(name, ToAll())) == 2
    assert asked == []
    bob.end(1011, "rooms unavailable")
    ann.release()
    assert asked == ["one to ann", "not this to ann", "broken to ann", "two to ann"]
    assert world.deliver(publication("after", ToAll())) == 1
    assert (to_ann.events, to_bob.events) == (["before", "one", "two", "after"], ["before"])


@pytest.mark.parametrize("asks", [False, True], ids=["event", "request"])
async def test_a_choice_that_fails_keeps_the_event_from_no_other_client(
    asks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()

    def recipient_filter(event: Publication) -> Callable[[Connection], bool]:
        def takes(connection: Connection) -> bool:
            if connection.identity.user_id == ANN:
                raise LookupError("the database is away")
            return True

        return takes

    world.hub.mount(GATEWAY, JSONDialect(), world.limits, recipient_filter=recipient_filter)
    asked: list[str] = []
    world.hub.on_request(GATEWAY, lambda _, connections: asked.extend([each.identity.user_id for each in connections]))
    transports = {user: world.admit(user)[1] for user in ("bob", "ann", "carl")}
    for _ in range(3):
        news = publication("news", ToAll())
        world.deliver(msgspec.structs.replace(news, reply_to=ReplyTo("node", 1)) if asks else news)
    reached = asked if asks else [user for user, transport in transports.items() for _ in transport.events]
    assert sorted(reached) == ["bob"] * 3 + ["carl"] * 3
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"{GATEWAY}: recipient_filter failed: LookupError('the database is away')"]


async def test_commands_for_a_gateway_of_another_process_are_ignored() -> None:
    world = World()
    world.admit()
    for command in (
        CloseRoom(OTHER, RoomName("a")),
        AddToRoom(OTHER, ANN, RoomName("a")),
        RefreshRooms(OTHER, ToAll()),
        taking_over(world.admit("ann")[0], OTHER),
    ):
        assert world.hub.apply(command) is None


async def test_a_gateway_without_a_service_has_nothing_to_refresh() -> None:
    world = World(with_host=False)
    connection, _ = world.admit()
    assert world.hub.apply(RefreshRooms(GATEWAY, ToAll())) is None
    with pytest.raises(RuntimeError):
        world.hub.refresh(connection)


async def test_a_client_that_leaves_during_the_host_call_does_not_join() -> None:
    world = World()
    connection, _ = world.admit()
    permission = HeldPermission()
    joining = asyncio.create_task(connection.public.join("room", parent="above", allowed=permission))
    await permission.asked.wait()
    await connection.public.leave("above")
    permission.answer.set()
    await joining
    assert connection.public.rooms == set()


@pytest.mark.parametrize("how", ["removed", "closed", "left"])
@pytest.mark.parametrize("parent", ["channel", None])
async def test_a_pending_join_ends_with_any_room_above(how: str, parent: str | None) -> None:
    world = World()
    connection, _ = world.admit("ann")
    other, _ = world.admit("bob")
    await connection.public.join("server")
    await connection.public.join("channel", parent="server")
    if parent is None:  # the parent is known from another member
        await other.public.join("thread", parent="channel")
    permission = HeldPermission()
    joining = asyncio.create_task(connection.public.join("thread", parent=parent, allowed=permission))
    await permission.asked.wait()
    if how == "left":
        await connection.public.leave("server")
    elif how == "closed":
        world.hub.apply(CloseRoom(GATEWAY, RoomName("server")))
    else:
        world.hub.apply(RemoveFromRoom(GATEWAY, ANN, RoomName("server")))
    permission.answer.set()
    if how == "left":
        await joining
    else:
        with pytest.raises(Forbidden):
            await joining
    assert connection.public.rooms == set()


@pytest.mark.parametrize("how", ["removed", "closed", "left"])
@pytest.mark.parametrize("linked_by", ["the join", "another member"])
async def test_pending_joins_that_link_to_each_other_end_together(how: str, linked_by: str) -> None:
    world = World()
    connection, _ = world.admit("ann")
    other, _ = world.admit("bob")
    await connection.public.join("server")
    parent: str | None = "channel"
    if linked_by == "another member":
        await other.public.join("thread", parent="channel")
        parent = None
    permissions = [HeldPermission(), HeldPermission()]
    joins = [
        asyncio.create_task(connection.public.join("channel", parent="server", allowed=permissions[0])),
        asyncio.create_task(connection.public.join("thread", parent=parent, allowed=permissions[1])),
    ]
    for permission in permissions:
        await permission.asked.wait()
    if how == "left":
        await connection.public.leave("server")
    elif how == "closed":
        world.hub.apply(CloseRoom(GATEWAY, RoomName("server")))
    else:
        world.hub.apply(RemoveFromRoom(GATEWAY, ANN, RoomName("server")))
    for permission in permissions:
        permission.answer.set()
    results = await asyncio.gather(*joins, return_exceptions=True)
    assert [type(result) for result in results] == [type(None) if how == "left" else Forbidden] * 2
    assert connection.public.rooms == set()


@pytest.mark.parametrize("gateway", [GATEWAY, None])
async def test_after_missed_commands_connections_get_nothing_more_and_are_closed_in_batches(
    gateway: GatewayName | None,
) -> None:
    world = World()
    admitted = [world.admit(f"user{number}") for number in range(AT_ONCE + 1)]
    for connection, _ in admitted:
        await world.hub.join(connection, "lobby", None)
    assert world.hub.apply(EndAll(gateway)) is None
    assert world.deliver(publication("secret", ToRoom(RoomName("lobby")))) == AT_ONCE + 1
    closes = RecordedCloses(admitted)
    await closes.begun.wait()
    assert closes.connections == [connection for connection, _ in admitted[:AT_ONCE]]
    new, transport = world.admit("user0")
    await world.hub.join(new, "lobby", None)
    assert world.deliver(publication("news", ToRoom(RoomName("lobby")))) == 2
    await world.tasks.until_idle()
    assert closes.connections == [connection for connection, _ in admitted]
    for _, each in admitted:
        assert (each.closes, each.written) == ([(1012, "connect again")], [])
    assert (transport.closes, transport.events) == ([], ["news"])


async def test_missed_commands_of_one_gateway_close_no_connection_of_another() -> None:
    world = World()
    connection, transport = world.admit()
    world.hub.apply(EndAll(OTHER))
    await world.tasks.until_idle()
    world.deliver(publication("news", ToAll()))
    assert (connection.closed, transport.events) == (False, ["news"])
