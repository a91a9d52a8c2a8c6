"""Following a room from a position on: what came after it, each event once and in order, then what comes."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.errors import BrokerUnavailable, Forbidden, InvalidMessage, PositionLost
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import AddToRoom, CloseRoom, RemoveFromRoom
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import (
    Position,
    Publication,
    Receipt,
    Target,
    ToAll,
    ToRoom,
    ToRooms,
    ToUsers,
)
from tests.support.distant_broker import DistantBroker, Server
from tests.support.recording import GATEWAY, RecordingTransport, World
from tests.support.redis_places import LONG, LONG_PLACES, RedisPlaces

ROOM, OTHER = RoomName("room"), RoomName("other")
TO_ROOM = ToRoom(ROOM)


def event(
    text: str, target: Target = TO_ROOM, *, except_: tuple[ConnectionId, ...] = (), volatile: bool = False
) -> Publication:
    payload = json.dumps(text).encode()
    return Publication(gateway=GATEWAY, target=target, event="e", payload=payload, except_=except_, volatile=volatile)


def seen(transport: RecordingTransport) -> list[Any]:
    return [json.loads(text).get("data") for text in transport.written]


class Stopped(MemoryBroker):
    """A broker whose answer about history comes when the test lets it. It is made before or after that."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__()
        self.late = late
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.fails = False

    async def history(
        self, gateway: GatewayName, since: Position, targets: Any, *, most_bytes: int | None = None
    ) -> list[Publication]:
        found = await super().history(gateway, since, targets, most_bytes=most_bytes)
        self.asked.set()
        await self.go.wait()
        if self.fails:
            raise BrokerUnavailable("gone")
        return await super().history(gateway, since, targets) if self.late else found


class Site:
    """A hub with one connection, and a position."""

    def __init__(
        self, broker: MemoryBroker | None = None, limits: Limits | None = None, *, timeout: float = 10.0
    ) -> None:
        self.broker = broker or Stopped()
        self.world = World(limits, broker=self.broker, broker_timeout=timeout)
        self.connection, self.transport = self.world.admit()
        self.position = Position("")

    async def start(self) -> Site:
        await self.broker.start(self.world.hub)
        self.position = await self.broker.position(GATEWAY)
        return self

    async def publish(self, *texts: str, target: Target = TO_ROOM, **options: Any) -> Receipt:
        for text in texts:
            receipt = await self.broker.publish(event(text, target, **options))
        return receipt

    async def join(self, since: str | None = None, **options: Any) -> None:
        await self.connection.public.join(ROOM, since=self.position if since is None else since, **options)

    @asynccontextmanager
    async def joining(self) -> AsyncIterator[asyncio.Task[None]]:
        """Within the block, the answer about history is there but has not arrived. It arrives when the block ends."""
        assert isinstance(self.broker, Stopped)
        task = asyncio.create_task(self.join())
        await self.broker.asked.wait()
        yield task
        self.broker.go.set()
        await asyncio.wait([task])

    @property
    def seen(self) -> list[Any]:
        self.world.tick()
        return seen(self.transport)


async def site(**options: Any) -> Site:
    return await Site(MemoryBroker(**options)).start()


async def test_what_came_since_arrives_before_what_comes() -> None:
    here = await site()
    await here.publish("1", "2")
    await here.publish("volatile", volatile=True)
    await here.publish("not for this client", except_=(here.connection.id,))
    await here.publish("elsewhere", target=ToRoom(OTHER))
    await here.publish("3", target=ToRooms((OTHER, ROOM)))
    middle = await here.broker.position(GATEWAY)
    await here.publish("4")
    await here.join()
    await here.publish("5")
    assert here.seen == ["1", "2", "3", "4", "5"]
    late, to_late = here.world.admit("bob")
    await late.public.join(ROOM, since=middle)
    assert seen(to_late) == ["4", "5"]


@pytest.mark.parametrize("late", [False, True])
async def test_events_that_come_during_the_reading_are_neither_lost_nor_doubled(late: bool) -> None:
    here = await Site(Stopped(late=late)).start()
    await here.publish("same", "same")
    async with here.joining():
        await here.publish("same", "same")
        await here.publish("to all", target=ToAll())
        await here.publish("volatile", volatile=True)
        await here.publish("same")
    await here.publish("last")
    assert here.seen == [*["same"] * 4, "to all", "volatile", "same", "last"]


async def test_a_connection_in_the_room_gets_everything_since_the_position_again() -> None:
    here = await site()
    await here.publish("before")
    await here.connection.public.join(ROOM)
    await here.publish("live")
    await here.join()
    await here.publish("later")
    assert here.seen == ["live", "before", "live", "later"]


async def test_what_is_sent_to_the_client_during_the_reading_comes_after_what_came_since() -> None:
    here = await Site().start()
    await here.publish("1")
    await here.connection.public.send("e", "sent before")
    async with here.joining():
        await here.publish("2")
        await here.connection.public.send("e", "sent during the reading")
    assert here.seen == ["sent before", "1", "2", "sent during the reading"]


@pytest.mark.parametrize("was_there", [False, True])
async def test_a_position_of_which_history_is_gone_is_refused_and_the_room_not_entered(was_there: bool) -> None:
    here = await site(history_size=2)
    if was_there:
        await here.connection.public.join(ROOM)
    await here.publish("1", "2", "3")
    epoch = here.position.partition("-")[0]
    for lost in (here.position, "", "x", f"{epoch}-", f"{epoch}-99", f"{epoch}-٣", f"{epoch}x-1", "9" * 5_000, "a-b-c"):
        with pytest.raises(PositionLost) as refused:
            await here.join(lost)
        assert refused.value.reply_code == "POSITION_LOST"
    assert (ROOM in here.connection.rooms) is was_there
    await here.publish("4")
    assert here.seen == (["1", "2", "3", "4"] if was_there else [])


@pytest.mark.parametrize("wrong", [7, b"x", ["a"], {"a": 1}, True])
async def test_what_is_no_text_is_refused(wrong: Any) -> None:
    here = await site()
    with pytest.raises(InvalidMessage, match="a position is a text"):
        await here.join(wrong)
    with pytest.raises(TypeError, match="since="):
        await here.join(latest="e")


async def test_more_than_may_wait_for_a_client_is_refused() -> None:
    here = await Site(MemoryBroker(), Limits(outbox_bytes=10_000)).start()
    await here.publish(*["short"] * 100)
    with pytest.raises(PositionLost, match="too many events"):
        await here.join()
    middle = await here.broker.position(GATEWAY)
    await here.publish("x" * 4_000, "y" * 4_000)
    await here.join(middle)
    assert here.seen == ["x" * 4_000, "y" * 4_000]
    await here.publish("z" * 2_000)
    with pytest.raises(PositionLost, match="too many events"):
        await here.join(middle)


async def test_a_broker_that_is_away_leaves_the_client_outside() -> None:
    here = await Site().start()
    assert isinstance(here.broker, Stopped)
    here.broker.fails = True
    async with here.joining() as task:
        await here.publish("1")
    with pytest.raises(BrokerUnavailable):
        task.result()
    await here.publish("2")
    assert here.seen == []
    assert here.connection.rooms == set()
    assert not here.connection.held


async def test_a_broker_that_is_too_slow_is_not_waited_for() -> None:
    here = Site(Stopped(), timeout=0.01)
    await here.start()
    with pytest.raises(BrokerUnavailable, match="MEW_PUBLISH_TIMEOUT"):
        await here.join()
    await here.publish("1")
    assert here.seen == []
    assert here.connection.rooms == set()


async def test_permission_is_asked_for_first() -> None:
    here = await site()
    with pytest.raises(Forbidden):
        await here.join(allowed=lambda: False)
    await here.publish("1")
    await here.join(allowed=lambda: True, parent=OTHER)
    assert here.seen == ["1"]
    await here.connection.public.leave(OTHER)
    assert here.connection.rooms == set()


@pytest.mark.parametrize("command", ["remove", "close", "leave", "again"])
async def test_a_client_that_is_removed_during_the_reading_gets_nothing(command: str) -> None:
    here = await Site(Stopped(late=True)).start()
    await here.publish("1")
    ann = here.connection.identity.user_id
    async with here.joining() as task:
        await here.publish("2")
        if command == "leave":
            await here.connection.public.leave(ROOM)
        elif command == "close":
            await here.broker.command(CloseRoom(GATEWAY, ROOM))
        else:
            await here.broker.command(RemoveFromRoom(GATEWAY, ann, ROOM))
        if command == "again":
            await here.broker.command(AddToRoom(GATEWAY, ann, ROOM))
    if command == "leave":
        task.result()
    else:
        with pytest.raises(Forbidden):
            task.result()
    assert "1" not in here.seen


async def test_a_closed_connection_is_left_alone() -> None:
    here = await Site().start()
    await here.publish("1")
    async with here.joining() as task:
        await here.connection.public.close()
    assert task.exception() is None
    assert here.seen == []


async def test_the_gateway_filter_decides_also_about_what_came_since() -> None:
    here = await site()
    await here.publish("1", "2")
    here.world.hub.mount(
        GATEWAY,
        JSONDialect(),
        Limits(),
        recipient_filter=lambda publication: lambda connection: publication.payload != b'"1"',
    )
    here.world.hub.add(here.connection)
    await here.join()
    assert here.seen == ["2"]


# Random interleavings, over a simulated network


class Client:
    def __init__(self, connection: InternalConnection, transport: RecordingTransport) -> None:
        self.connection = connection
        self.transport = transport
        self.since: Position | None = None


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
async def test_each_client_gets_exactly_what_came_after_its_snapshot(seed: int) -> None:
    server = Server()
    await check_snapshots(random.Random(seed), [DistantBroker(server, seed=seed + number) for number in range(2)])


@pytest.mark.parametrize("seed", range(200 if LONG else 3))
@pytest.mark.parametrize("place", LONG_PLACES)
async def test_each_client_gets_exactly_what_came_after_its_snapshot_with_redis(
    place: str, seed: int, redis_places: RedisPlaces
) -> None:
    url, prefix = redis_places(place).url, f"test-{secrets.token_hex(4)}"
    brokers = [RedisBroker(RedisServer(url), prefix=prefix, timeout=10.0) for _ in range(2)]
    await check_snapshots(random.Random(seed), brokers)


async def check_snapshots(chance: random.Random, brokers: Sequence[Broker]) -> None:
    nodes = []
    for broker in brokers:
        world = World(broker=broker, broker_timeout=10.0)
        await broker.start(world.hub)
        nodes.append((broker, world))
    beginning = await nodes[0][0].position(GATEWAY)
    clients = []
    for number in range(4):
        broker, world = nodes[number % 2]
        connection, transport = world.admit(f"user{number}")
        subscribing = world.hub.until_subscribed(connection)
        if subscribing is not None:
            await subscribing
        clients.append(Client(connection, transport))

    async def publish() -> None:
        for _ in range(chance.randrange(4, 12)):
            await turns(chance.randrange(6))
            left_out = chance.choice(clients).connection.id
            targets: list[Target] = [
                TO_ROOM,
                TO_ROOM,
                TO_ROOM,
                ToRooms((ROOM, OTHER)),
                ToRoom(OTHER),
                ToUsers((UserId("user0"),)),
            ]
            target = chance.choice(targets)
            # Few different texts, so that equal events follow each other.
            publication = event(
                chance.choice("ab") if target is not TO_ROOM or chance.random() < 0.9 else "c",
                target,
                except_=(left_out,) if chance.random() < 0.2 else (),
                volatile=chance.random() < 0.1,
            )
            if publication.volatile or target not in (TO_ROOM, ToRooms((ROOM, OTHER))):
                publication = event("not in the stream of the room", target, volatile=publication.volatile)
            await chance.choice(nodes)[0].publish(publication)

    async def follow(client: Client, broker: Broker, world: World) -> None:
        await turns(chance.randrange(40))
        client.since = await broker.position(GATEWAY)
        await turns(chance.randrange(20))
        await client.connection.public.join(ROOM, since=client.since)
        world.tick()

    async def tick() -> None:
        for _ in range(30):
            await turns(chance.randrange(4))
            chance.choice(nodes)[1].tick()

    following = [follow(client, *nodes[number % 2]) for number, client in enumerate(clients)]
    await asyncio.gather(*following, *[publish() for _ in range(3)], tick())
    for broker, world in nodes:
        await broker.position(GATEWAY)  # it has delivered everything before it answers
        world.tick()
    everything = await nodes[0][0].history(GATEWAY, beginning, [TO_ROOM])
    for client in clients:
        assert client.since is not None
        after = await nodes[0][0].history(GATEWAY, client.since, [TO_ROOM])
        assert after == everything[len(everything) - len(after) :]
        expected = [json.loads(each.payload) for each in after if client.connection.id not in each.except_]
        got = [text for text in seen(client.transport) if text in ("a", "b", "c")]
        assert got == expected
    for broker, world in nodes:
        await broker.stop()
        await world.tasks.aclose()
