"""The node subscribes to exactly the rooms, users and gateways that have connections on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.errors import BrokerUnavailable, Forbidden
from asgi_realtime.hub.subscriptions import UNSUBSCRIBE_DELAY
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    TakeOver,
)
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, Target, ToAll, ToRoom, ToRooms, ToUsers
from tests.support.clock import Clock
from tests.support.distant_broker import DistantBroker, Server
from tests.support.recording import GATEWAY, RecordingTransport, World

ANN, BOB = UserId("ann"), UserId("bob")
ROOM = RoomName("room")
SEEDS = range(25)


def subscription(target: Target) -> Subscription:
    return Subscription(GATEWAY, target)


IN_ROOM = subscription(ToRoom(ROOM))
OF_ANN = subscription(ToUsers((ANN,)))
OF_ALL = subscription(ToAll())


class Node:
    """A process: a hub, and its broker behind a simulated network."""

    def __init__(self, server: Server | None = None, *, seed: int = 0, broker_timeout: float = 5.0) -> None:
        self.broker = DistantBroker(server, seed=seed)
        self.world = World(broker=self.broker, broker_timeout=broker_timeout)
        self.hub = self.world.hub
        self.clock = Clock(asyncio.get_running_loop())

    async def admit(self, user_id: str = "ann") -> tuple[InternalConnection, RecordingTransport]:
        """A connection whose subscriptions are active."""
        connection, transport = self.world.admit(user_id)
        subscribing = self.hub.until_subscribed(connection)
        if subscribing is not None:
            await subscribing
        return connection, transport

    async def command(self, command: Command) -> None:
        await self.broker.command(command)

    async def settled(self) -> None:
        """Wait until no operation is in progress."""
        await self.world.tasks.until_idle()
        for line in (self.broker.requests, self.broker.subscribing, self.broker.receiving):
            await line.passed()
        await self.world.tasks.until_idle()

    async def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.settled()

    def seen(self, transport: RecordingTransport) -> list[str]:
        self.world.tick()
        return [json.loads(text)["data"] for text in transport.written]


@asynccontextmanager
async def node(server: Server | None = None, *, seed: int = 0, broker_timeout: float = 5.0) -> AsyncIterator[Node]:
    made = Node(server, seed=seed, broker_timeout=broker_timeout)
    await made.broker.start(made.hub)
    yield made
    await made.settled()
    made.hub.stop()
    await made.broker.stop()


async def publish(broker: DistantBroker, data: str, target: Target | None = None, *, volatile: bool = False) -> int:
    publication = Publication(
        gateway=GATEWAY,
        target=target or ToRoom(ROOM),
        event="event",
        payload=json.dumps(data).encode(),
        volatile=volatile,
    )
    return (await broker.publish(publication)).delivered_locally


async def turns(count: int) -> None:
    """Run turns of the event loop, in which the simulated network counts its delays."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_join_returns_when_the_subscription_is_active_and_misses_nothing_later(seed: int) -> None:
    async with node(seed=seed) as here:
        connection, transport = await here.admit()
        here.broker.subscribing.pause()
        joining = asyncio.create_task(connection.public.join(ROOM))
        await here.broker.subscribing.holds_back()
        assert not joining.done()
        assert connection.rooms == set()
        assert await publish(here.broker, "before") == 0
        here.broker.subscribing.resume()
        await joining
        assert await publish(here.broker, "after") == 1
        assert here.seen(transport) == ["after"]
        assert here.broker.active_subscriptions == {OF_ALL, OF_ANN, IN_ROOM}
        assert here.hub.subscriptions == 3


async def test_only_first_members_subscribe_with_one_broker_call_per_tick() -> None:
    async with node() as here:
        connections = [(await here.admit())[0] for _ in range(3)]
        assert len(here.broker.called("subscribe")) == 1
        await asyncio.gather(*[connection.public.join(room) for connection in connections for room in ("a", "b", ROOM)])
        first, second = here.broker.called("subscribe")
        assert first == (OF_ANN, OF_ALL)
        assert isinstance(second, tuple)
        assert set(second) == {IN_ROOM, subscription(ToRoom(RoomName("a"))), subscription(ToRoom(RoomName("b")))}
        assert len(second) == 3


@pytest.mark.parametrize("how", ["joins", "is added", "by its host", "by a refresh"])
async def test_every_way_to_add_a_first_member_subscribes(how: str) -> None:
    async with node() as here:
        here.world.host.rooms["ann"] = {}
        connection, transport = await here.admit()
        await here.hub.enter(connection)
        if how == "joins":
            await connection.public.join(ROOM)
        elif how == "is added":
            await here.command(AddToRoom(GATEWAY, ANN, ROOM))
        else:
            here.world.host.rooms["ann"] = {ROOM: None}
            if how == "by its host":
                await here.hub.enter(connection)
            else:
                await here.command(RefreshRooms(GATEWAY, ToUsers((ANN,))))
        assert IN_ROOM in here.broker.active_subscriptions
        assert await publish(here.broker, "news") == 1
        assert here.seen(transport) == ["news"]


OUT: dict[str, Callable[[Node, InternalConnection], Awaitable[object]]] = {
    "leaves": lambda here, connection: connection.public.leave(ROOM),
    "leaves the room above": lambda here, connection: connection.public.leave("above"),
    "is removed": lambda here, connection: here.command(RemoveFromRoom(GATEWAY, ANN, ROOM)),
    "the room is closed": lambda here, connection: here.command(CloseRoom(GATEWAY, ROOM)),
    "loses the right": lambda here, connection: here.command(RefreshRooms(GATEWAY, ToUsers((ANN,)))),
    "ends": lambda here, connection: connection.public.close(),
    "is disconnected": lambda here, connection: here.command(DisconnectUser(GATEWAY, ANN, 1008, "out")),
    "is replaced": lambda here, connection: here.command(
        TakeOver(
            gateway=GATEWAY,
            user_id=ANN,
            connection_id=here.world.connection("ann")[0].id,
            event="kick",
            payload=b"",
            code=1008,
            reason="replaced",
        )
    ),
}


@pytest.mark.parametrize("how", OUT)
async def test_every_way_to_remove_the_last_member_unsubscribes_after_the_delay(how: str) -> None:
    async with node() as here:
        here.world.host.rooms["ann"] = {ROOM: None} if how == "loses the right" else {}
        connection, _ = await here.admit()
        connection.took_over = True
        await here.hub.enter(connection)
        await connection.public.join(ROOM, parent="above")
        await connection.public.join("above")
        here.world.host.rooms["ann"] = {}
        before = set(here.broker.active_subscriptions)
        await OUT[how](here, connection)
        await here.pass_time(UNSUBSCRIBE_DELAY - 1)
        assert here.broker.active_subscriptions == before
        assert here.broker.called("unsubscribe") == []
        await here.pass_time(2)
        rooms = {subscription(ToRoom(room)) for room in connection.rooms - {ROOM}}
        assert here.broker.active_subscriptions == (set() if connection.closed else {OF_ALL, OF_ANN, *rooms})
        assert here.hub.subscriptions == len(here.broker.active_subscriptions)


async def test_a_reload_within_the_delay_makes_no_broker_call() -> None:
    async with node() as here:
        connection, _ = await here.admit()
        await connection.public.join(ROOM)
        for _ in range(3):
            await connection.public.close()
            await here.pass_time(UNSUBSCRIBE_DELAY - 1)
            connection, transport = await here.admit()
            await connection.public.join(ROOM)
        assert await publish(here.broker, "news") == 1
        assert len(here.broker.called("subscribe")) == 2
        assert here.broker.called("unsubscribe") == []
        await here.pass_time(UNSUBSCRIBE_DELAY + 1)
        assert await publish(here.broker, "more") == 1
        assert here.seen(transport) == ["news", "more"]


@pytest.mark.parametrize("room", [ROOM, RoomName("above")])
async def test_a_client_that_leaves_while_it_is_subscribing_is_not_a_member(room: RoomName) -> None:
    async with node() as here:
        connection, _ = await here.admit()
        here.broker.subscribing.pause()
        joining = asyncio.create_task(connection.public.join(ROOM, parent="above"))
        await here.broker.subscribing.holds_back()
        await connection.public.leave(room)
        here.broker.subscribing.resume()
        await joining
        assert connection.rooms == set()
        await here.pass_time(UNSUBSCRIBE_DELAY + 1)
        assert here.broker.active_subscriptions == {OF_ALL, OF_ANN}


@pytest.mark.parametrize("command", [RemoveFromRoom(GATEWAY, ANN, ROOM), CloseRoom(GATEWAY, ROOM)])
async def test_a_client_disconnected_while_it_is_subscribing_is_not_admitted(command: Command) -> None:
    async with node() as here:
        connection, _ = await here.admit()
        here.broker.subscribing.pause()
        joining = asyncio.create_task(connection.public.join(ROOM))
        await here.broker.subscribing.holds_back()
        await here.command(command)
        here.broker.subscribing.resume()
        with pytest.raises(Forbidden):
            await joining
        assert connection.rooms == set()
        await here.pass_time(UNSUBSCRIBE_DELAY + 1)
        assert here.broker.active_subscriptions == {OF_ALL, OF_ANN}


async def test_a_connection_that_ends_while_it_is_subscribing_leaves_nothing_behind() -> None:
    async with node() as here:
        connection, _ = await here.admit()
        here.broker.subscribing.pause()
        joining = asyncio.create_task(connection.public.join(ROOM))
        await here.broker.subscribing.holds_back()
        connection.end(1000, "")
        here.broker.subscribing.resume()
        await joining
        assert not here.world.rooms.names
        await here.pass_time(UNSUBSCRIBE_DELAY + 1)
        assert here.broker.active_subscriptions == set()
        assert here.hub.subscriptions == 0


async def test_a_join_that_is_subscribing_when_the_hub_stops_is_refused_and_subscribes_no_more() -> None:
    async with node() as here:
        connection, _ = await here.admit()
        here.broker.subscribing.pause()
        joining = asyncio.create_task(connection.public.join(ROOM))
        await here.broker.subscribing.holds_back()
        here.hub.stop()
        here.broker.subscribing.resume()
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(5.0):
                await joining
        assert here.broker.called("subscribe").count((IN_ROOM,)) == 1


@pytest.mark.parametrize("failure", ["refused", "no answer"])
async def test_a_failed_subscription_refuses_every_join_that_waits_for_it(failure: str) -> None:
    async with node(broker_timeout=0.05) as here:
        connections = [(await here.admit(user_id))[0] for user_id in ("ann", "bob")]
        before = set(here.broker.active_subscriptions)
        here.broker.failing.add("subscribe")
        if failure == "no answer":
            here.broker.subscribing.pause()
        joins = [asyncio.create_task(connection.public.join(ROOM)) for connection in connections]
        for joining in joins:
            with pytest.raises(BrokerUnavailable):
                await joining
        assert [connection.rooms for connection in connections] == [set(), set()]
        assert here.broker.active_subscriptions == before
        assert here.hub.subscriptions == len(before)
        here.broker.failing.clear()
        here.broker.subscribing.resume()
        await connections[0].public.join(ROOM)
        assert await publish(here.broker, "news") == 1


async def test_a_user_whose_subscription_fails_is_refused_and_the_next_connection_subscribes_again() -> None:
    async with node() as here:
        here.broker.failing.add("subscribe")
        (first, _), (second, _) = [here.world.admit("ann") for _ in range(2)]
        waits = [here.hub.until_subscribed(connection) for connection in (first, second)]
        for waiting in waits:
            assert waiting is not None
            with pytest.raises(BrokerUnavailable):
                await waiting
        here.broker.failing.clear()
        third, transport = await here.admit("ann")  # although these two are still members
        for connection in (first, second):
            here.hub.remove(connection)
        assert await publish(here.broker, "news", ToUsers((ANN,))) == 1
        assert here.seen(transport) == ["news"]
        assert here.hub.subscriptions == len(here.broker.active_subscriptions) == 2
        third.end(1000, "")
        await here.pass_time(UNSUBSCRIBE_DELAY + 1)
        assert here.hub.subscriptions == len(here.broker.active_subscriptions) == 0


async def test_a_failed_subscription_is_forgotten_when_its_last_member_leaves() -> None:
    async with node() as here:
        here.broker.failing.add("subscribe")
        (first, _), (second, _) = [here.world.admit("ann") for _ in range(2)]
        waiting = here.hub.until_subscribed(first)
        assert waiting is not None
        with pytest.raises(BrokerUnavailable):
            await waiting
        here.hub.remove(first)
        assert here.hub.pending_subscriptions == len((OF_ANN, OF_ALL)), "one member is left"
        here.hub.remove(second)
        assert here.hub.pending_subscriptions == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_join_during_an_unsubscribe_subscribes_again(seed: int) -> None:
    async with node(seed=seed) as here:
        connection, transport = await here.admit()
        await connection.public.join(ROOM)
        await connection.public.leave(ROOM)
        here.broker.subscribing.pause()
        here.clock.move(UNSUBSCRIBE_DELAY + 1)
        await here.broker.subscribing.holds_back()
        assert here.broker.called("unsubscribe") == [(IN_ROOM,)]
        joining = asyncio.create_task(connection.public.join(ROOM))
        await turns(seed)
        assert not joining.done()
        here.broker.subscribing.resume()
        await joining
        assert await publish(here.broker, "news") == 1
        assert here.seen(transport) == ["news"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_publications_after_a_command_that_adds_the_first_member_arrive_once(seed: int) -> None:
    server = Server()
    async with node(server, seed=seed) as here, node(server, seed=seed + 1000) as there:
        connection, transport = await here.admit()
        await publish(there.broker, "before")
        adding = asyncio.create_task(there.command(AddToRoom(GATEWAY, ANN, ROOM)))
        sending = []
        for number in range(10):
            await turns(seed % 7)
            sending.append(asyncio.create_task(publish(there.broker, str(number), volatile=number == 9)))
        await adding
        await asyncio.gather(*sending)
        await here.settled()
        assert connection.rooms == {ROOM}
        seen = here.seen(transport)
        assert seen[:9] == [str(number) for number in range(9)]
        assert seen[9:] in ([], ["9"])  # a volatile event may be lost, but not doubled
        assert await publish(here.broker, "after") == 1
        assert here.seen(transport)[-1] == "after"


@pytest.mark.parametrize("seed", SEEDS)
async def test_publications_to_several_rooms_arrive_once_while_histories_are_read(seed: int) -> None:
    server = Server()
    old, new = ROOM, [RoomName("new"), RoomName("newer")]
    async with node(server, seed=seed) as here, node(server, seed=seed + 1000) as there:
        transports = {}
        for user_id in ("ann", "bob"):
            connection, transports[user_id] = await here.admit(user_id)
            if user_id == "bob":
                await connection.public.join(old)
        adding = [
            asyncio.create_task(there.command(AddToRoom(GATEWAY, UserId(user_id), room)))
            for room in new
            for user_id in ("ann", "bob")
        ]
        sending = []
        for number in range(10):
            await turns(seed % 7)
            target = ToRooms((old, *new) if number % 2 else (*new, RoomName("other")))
            sending.append(asyncio.create_task(publish(there.broker, str(number), target, volatile=number == 9)))
        await asyncio.gather(*adding, *sending)
        await here.settled()
        assert await publish(there.broker, "after", ToRooms((old, *new))) == 0
        await here.settled()
        for user_id, transport in transports.items():
            seen = here.seen(transport)
            assert seen[-1] == "after"
            assert sorted(seen) in ([*map(str, range(9)), "after"], [*map(str, range(10)), "after"]), user_id


@pytest.mark.parametrize("asks_host", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_the_latest_event_and_later_events_arrive_without_a_gap(seed: int, asks_host: bool) -> None:
    server = Server()
    saved = 0

    async def known() -> str | None:
        return str(saved) if saved else None

    async with node(server, seed=seed) as here, node(server, seed=seed + 1000) as there:
        connection, transport = await here.admit()

        async def host() -> None:
            nonlocal saved
            for number in range(1, 16):
                saved = number
                await turns(seed % 3)
                await publish(there.broker, str(number))

        job = asyncio.create_task(host())
        await turns(seed * 4)
        await connection.public.join(ROOM, latest="event", known=known if asks_host else None)
        await job
        await here.settled()
        seen = [int(text) for text in here.seen(transport)]
        if asks_host and seen[:1] == seen[1:2]:
            del seen[0]  # the host had saved it, and had not published it yet
        assert seen == list(range(seen[0], 16))
