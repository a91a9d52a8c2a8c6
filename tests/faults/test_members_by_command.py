"""A command puts clients into rooms that their process has not subscribed to, while everything else continues."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import AddToRoom, CloseRoom, Command, RemoveFromRoom
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.publications import (
    Position,
    Publication,
    Subscription,
    Target,
    ToAll,
    ToRoom,
    ToRooms,
    ToUsers,
)
from tests.support.recording import GATEWAY, RecordingTransport, World
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

WAIT = 10.0
ANN, BOB, CEM, DAN = map(UserId, ("ann", "bob", "cem", "dan"))
ROOM, OTHER = RoomName("room"), RoomName("other")
IN_ROOM = Subscription(GATEWAY, ToRoom(ROOM))


class Client:
    """A connection, and the events that it must receive."""

    def __init__(self, world: World, connection: InternalConnection, transport: RecordingTransport) -> None:
        self._world = world
        self.connection = connection
        self.transport = transport
        self.expected: list[str] = []

    @property
    def seen(self) -> list[str]:
        self._world.tick()
        return [json.loads(text)["type"] for text in self.transport.written]


class Node:
    """A process with a hub."""

    def __init__(self, url: str, prefix: str) -> None:
        self.broker = RedisBroker(RedisServer(url), prefix=prefix, timeout=WAIT)
        self.world = World(broker=self.broker, broker_timeout=WAIT)

    async def admit(self, user_id: UserId) -> Client:
        connection, transport = self.world.admit(user_id)
        subscribing = self.world.hub.until_subscribed(connection)
        if subscribing is not None:
            await subscribing
        return Client(self.world, connection, transport)


class Party:
    """Two processes with clients, and a third one that sends. `send` keeps what each client must receive."""

    def __init__(self, server: RedisProcess) -> None:
        self.prefix = f"test-{secrets.token_hex(4)}"
        self.server = server
        self.proxy = RedisProxy(server.socket, self._lose)
        self.lost: bytes | None = None
        """The next message with this text does not reach the first node."""
        self.nodes: list[Node] = []
        self.sender = RedisBroker(RedisServer(server.url), prefix=self.prefix, timeout=WAIT)
        self.clients: list[Client] = []
        self._members: defaultdict[RoomName, set[UserId]] = defaultdict(set)

    async def start(self, stack: AsyncExitStack) -> None:
        await self.proxy.start()
        stack.push_async_callback(self.proxy.stop)
        await self.sender.start_without_clients()
        stack.push_async_callback(self.sender.stop)
        self.nodes = [Node(url, self.prefix) for url in (self.proxy.url, self.server.url)]
        for node in self.nodes:
            await node.broker.start(node.world.hub)
            stack.push_async_callback(node.broker.stop)
            await until(lambda: node.broker.ready)  # noqa: B023  it is awaited here

    def _lose(self, data: bytes) -> bytes:
        if self.lost is None or self.lost not in data:
            return data
        before, text, after = data.partition(self.lost)
        self.lost = None
        channel, name, rest = before.rpartition(b"r:other")
        return channel + name.upper() + rest + text + after  # this process has not subscribed to that channel

    @property
    def is_losing(self) -> bool:
        """Whether the message to lose has not come yet."""
        return self.lost is not None

    async def admit(self, number: int, user_id: UserId) -> Client:
        client = await self.nodes[number].admit(user_id)
        self.clients.append(client)
        return client

    async def command(self, command: Command) -> None:
        await self.sender.command(command)
        if isinstance(command, AddToRoom):
            self._members[command.room].add(command.user_id)
        elif isinstance(command, RemoveFromRoom):
            self._members[command.room].discard(command.user_id)
        elif isinstance(command, CloseRoom):
            self._members[command.room].clear()

    async def send(self, event: str, target: Target, *, without: Client | None = None, volatile: bool = False) -> None:
        excluded = () if without is None else (without.connection.id,)
        await self.sender.publish(
            Publication(gateway=GATEWAY, target=target, event=event, except_=excluded, volatile=volatile)
        )
        for client in self.clients:
            if client is not without and not volatile and self._is_for(target, client.connection.identity.user_id):
                client.expected.append(event)

    def _is_for(self, target: Target, user_id: UserId) -> bool:
        if isinstance(target, ToRoom):
            return user_id in self._members[target.room]
        if isinstance(target, ToRooms):
            return any(user_id in self._members[room] for room in target.rooms)
        return isinstance(target, ToAll) or user_id in target.user_ids

    async def end(self) -> None:
        """Return when everything has arrived."""
        await self.send("end", ToAll())
        for client in self.clients:
            await until(lambda: "end" in client.seen)  # noqa: B023  it is awaited here

    async def subscribed(self) -> int:
        """How many rooms, users and gateways Redis sends to the nodes."""
        with self.server.client() as redis:
            names = [name for name in redis.pubsub_channels(f"*{self.prefix}*{GATEWAY}*") if not name.endswith(b":c")]
            return sum(count for _, count in redis.pubsub_numsub(*names))


@pytest.fixture
async def party(redis_process: RedisProcess) -> AsyncIterator[Party]:
    async with AsyncExitStack() as stack:
        party = Party(redis_process)
        await party.start(stack)
        yield party


async def test_what_was_published_between_an_addition_and_a_removal_arrives(party: Party) -> None:
    ann = await party.admit(0, ANN)
    for number in range(30):
        room = RoomName(f"room {number}")
        await party.command(AddToRoom(GATEWAY, ANN, room))
        await party.send(f"in {number}", ToRoom(room))
        await party.command(CloseRoom(GATEWAY, room) if number % 2 else RemoveFromRoom(GATEWAY, ANN, room))
        await party.send("out", ToRoom(room))
    await party.end()
    assert ann.seen == [*(f"in {number}" for number in range(30)), "end"]


async def test_events_of_a_new_room_arrive_before_later_events_of_other_targets(party: Party) -> None:
    ann = await party.admit(0, ANN)
    await party.command(AddToRoom(GATEWAY, ANN, OTHER))
    for number in range(30):
        room = RoomName(f"room {number}")
        await party.command(AddToRoom(GATEWAY, ANN, room))
        await party.send(f"{number} room", ToRoom(room))
        await party.send(f"{number} rooms", ToRooms((room, OTHER)))
        await party.send(f"{number} other", ToRoom(OTHER))
        await party.send(f"{number} user", ToUsers((ANN,)))
        await party.send(f"{number} all", ToAll())
    await party.end()
    assert ann.seen == ann.expected


async def test_a_user_who_is_added_later_receives_nothing_from_before(party: Party) -> None:
    ann, bob = await party.admit(0, ANN), await party.admit(0, BOB)
    await party.command(AddToRoom(GATEWAY, ANN, ROOM))
    await party.send("before", ToRoom(ROOM))
    await party.command(AddToRoom(GATEWAY, BOB, ROOM))
    await party.send("after", ToRoom(ROOM))
    await party.end()
    assert ann.seen == ["before", "after", "end"]
    assert bob.seen == ["after", "end"]


async def test_a_message_of_another_room_that_is_lost_at_that_time_is_read_too(party: Party) -> None:
    ann = await party.admit(0, ANN)
    await party.command(AddToRoom(GATEWAY, ANN, OTHER))
    await party.send("first", ToRoom(OTHER))
    await until(lambda: ann.seen == ["first"])
    party.lost = b"lost on its way"
    party.proxy.delay = 0.1  # seconds: what follows comes before Redis has answered to SUBSCRIBE
    await party.command(AddToRoom(GATEWAY, ANN, ROOM))
    await party.send("lost on its way", ToRoom(OTHER))
    await party.send("last", ToRoom(OTHER))
    await party.end()
    assert not party.is_losing
    assert ann.seen == ["first", "lost on its way", "last", "end"]


async def test_a_room_is_left_again_if_its_user_has_gone(party: Party) -> None:
    bob = await party.admit(0, BOB)
    for number in range(50):
        ann = await party.nodes[0].admit(ANN)
        await party.command(AddToRoom(GATEWAY, ANN, RoomName(f"room {number}")))
        ann.connection.end(1000, "")
    await party.end()
    assert bob.seen == ["end"]
    await until(lambda: not party.nodes[0].world.hub.pending_subscriptions)
    assert await party.subscribed() == sum(node.world.hub.subscriptions for node in party.nodes)


class Hall(RecordingReceiver):
    """A process that is about to unsubscribe from a room when a command adds a member to it."""

    def __init__(self, broker: RedisBroker) -> None:
        super().__init__()
        self._broker = broker
        self.unsubscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def subscription_for(self, command: Command) -> Subscription | None:
        return IN_ROOM

    def apply(self, command: Command, position: Position | None) -> None:
        unsubscribing = asyncio.ensure_future(self._broker.unsubscribe([IN_ROOM]))
        unsubscribing.add_done_callback(lambda done: self.unsubscribed.set_result(done.result()))


async def test_a_room_that_was_about_to_be_left_is_kept_for_a_new_member(party: Party) -> None:
    broker = RedisBroker(RedisServer(party.server.url), prefix=party.prefix, timeout=WAIT)
    hall = Hall(broker)
    await broker.start(hall)
    await broker.subscribe([IN_ROOM])
    await party.command(AddToRoom(GATEWAY, ANN, ROOM))
    await hall.unsubscribed
    await party.send("before the call of subscribe", ToRoom(ROOM))
    await broker.subscribe([IN_ROOM])
    await party.send("after it", ToRoom(ROOM))
    await until(lambda: len(hall.seen) == 2)
    await broker.unsubscribe([IN_ROOM])
    await party.send("too late", ToRoom(ROOM))
    await broker.position(GATEWAY)
    await broker.stop()
    assert hall.seen == ["before the call of subscribe", "after it"]


SMALL_LIMITS: dict[str, list[float]] = {
    "broker.redis_feed.HELD_BYTES": [100, 1_000],
    "broker.redis_repair.COMPARED_AT_ONCE": [1, 2],
    "broker.redis_channels.COMPARED_AT_ONCE": [1, 2],
    "broker.redis_history.READ_AT_ONCE": [1, 2],
    "broker.redis_history.ANSWER_BYTES": [1, 100],
    "broker.redis_repair.SECONDS_A_TURN": [-1.0],
}


@pytest.mark.parametrize("limits", ["defaults", "small"])
@pytest.mark.parametrize("seed", range(10))
async def test_clients_receive_exactly_what_is_sent_while_they_are_members(
    party: Party, seed: int, limits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    if limits == "small":
        for name, values in SMALL_LIMITS.items():
            monkeypatch.setattr(f"asgi_realtime.{name}", chance.choice(values))
    for number, user_id in ((0, ANN), (1, BOB), (0, CEM), (1, CEM)):
        await party.admit(number, user_id)
    guest = await party.nodes[0].admit(DAN)
    rooms = [RoomName(f"room {number}") for number in range(6)]
    for number in range(150):
        room, user_id = chance.choice(rooms), chance.choice((ANN, BOB, CEM, DAN))
        match chance.choices(["add", "remove", "close", "send", "guest", "cut"], [6, 3, 1, 12, 1, 0.2])[0]:
            case "add":
                await party.command(AddToRoom(GATEWAY, user_id, room))
            case "remove":
                await party.command(RemoveFromRoom(GATEWAY, user_id, room))
            case "close":
                await party.command(CloseRoom(GATEWAY, room))
            case "guest":  # his rooms lose their last member on this process
                guest.connection.end(1000, "")
                guest = await party.nodes[0].admit(DAN)
            case "cut":
                party.proxy.cut()
            case "send":
                several = ToRooms(tuple(chance.sample(rooms, 3)))
                targets: list[Target] = [ToRoom(room), ToRoom(room), several, ToUsers((user_id, ANN)), ToAll()]
                target = chance.choice(targets)
                without = chance.choice([None, *party.clients])
                volatile = chance.random() < 0.1
                await party.send(f"{'volatile ' * volatile}{number}", target, without=without, volatile=volatile)
    await party.end()
    for client in party.clients:
        seen = client.seen
        assert [event for event in seen if not event.startswith("volatile")] == client.expected
        assert len(seen) == len(set(seen)), "doubled"
    for node in party.nodes:
        await until(lambda: not node.world.hub.pending_subscriptions)  # noqa: B023  it is awaited here
    assert await party.subscribed() == sum(node.world.hub.subscriptions for node in party.nodes)
