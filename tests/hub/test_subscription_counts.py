"""Subscriptions at the broker equal those of a simple model, for any order of operations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import BrokerUnavailable, Forbidden
from asgi_realtime.hub.subscriptions import UNSUBSCRIBE_DELAY
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
)
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, Target, ToAll, ToRoom, ToUsers
from tests.support.clock import Clock
from tests.support.distant_broker import DistantBroker
from tests.support.recording import GATEWAY, World

ROOMS = [RoomName(name) for name in ("server", "channel", "ann")]
USERS = [UserId(name) for name in ("ann", "bob")]
rooms = st.sampled_from(ROOMS)
users = st.sampled_from(USERS)
places = st.integers(0, 5)
pauses = st.integers(0, 12)


class SubscriptionsMachine(RuleBasedStateMachine):
    """Each rule starts an operation and runs some iterations of the event loop, so that several operations overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock(self.loop)
        self.broker = DistantBroker(seed=1)
        self.world = World(broker=self.broker)
        for user in USERS:
            self.world.host.rooms[user] = {}
        self.connections: list[Connection] = []
        self.begun: list[asyncio.Task[object]] = []
        self.loop.run_until_complete(self.broker.start(self.world.hub))

    def begin(self, work: Awaitable[Any], pause: int) -> None:
        """Start an operation that may be refused, and continue after this number of loop iterations."""

        async def attempt() -> None:
            try:
                await work
            except (BrokerUnavailable, Forbidden):
                pass

        async def step() -> None:
            self.begun.append(asyncio.create_task(attempt()))
            for _ in range(pause):
                await asyncio.sleep(0)

        self.loop.run_until_complete(step())

    def command(self, command: Command, pause: int) -> None:
        self.begin(self.broker.command(command), pause)

    def pick(self, place: int) -> Connection:
        return self.connections[place % len(self.connections)]

    @rule(user=users, pause=pauses)
    def connect(self, user: UserId, pause: int) -> None:
        """Accept a client as a gateway does, with rooms of the host."""

        async def let_in() -> None:
            connection, _ = self.world.admit(user)
            self.connections.append(connection.public)
            try:
                subscribing = self.world.hub.until_subscribed(connection)
                if subscribing is not None:
                    await subscribing
                await self.world.hub.enter(connection)
            except BrokerUnavailable:
                self.world.hub.remove(connection)
                connection.set_closed()
            except asyncio.CancelledError:
                assert connection.closed, "the question about its rooms ends only with the connection"

        self.begin(let_in(), pause)

    @precondition(lambda self: self.connections)
    @rule(place=places, pause=pauses)
    def disconnect(self, place: int, pause: int) -> None:
        self.begin(self.pick(place).close(), pause)

    @precondition(lambda self: self.connections)
    @rule(place=places, room=rooms, parent=st.none() | rooms, pause=pauses)
    def join(self, place: int, room: RoomName, parent: RoomName | None, pause: int) -> None:
        self.begin(self.pick(place).join(room, parent=parent), pause)

    @precondition(lambda self: self.connections)
    @rule(place=places, room=rooms, pause=pauses)
    def leave(self, place: int, room: RoomName, pause: int) -> None:
        self.begin(self.pick(place).leave(room), pause)

    @rule(user=users, room=rooms, pause=pauses)
    def add(self, user: UserId, room: RoomName, pause: int) -> None:
        self.command(AddToRoom(GATEWAY, user, room), pause)

    @rule(user=users, room=rooms, pause=pauses)
    def remove(self, user: UserId, room: RoomName, pause: int) -> None:
        self.command(RemoveFromRoom(GATEWAY, user, room), pause)

    @rule(room=rooms, pause=pauses)
    def close_room(self, room: RoomName, pause: int) -> None:
        self.command(CloseRoom(GATEWAY, room), pause)

    @rule(user=users, pause=pauses)
    def put_out(self, user: UserId, pause: int) -> None:
        self.command(DisconnectUser(GATEWAY, user, 1008, "out"), pause)

    @rule(user=users, granted=st.sets(rooms), pause=pauses)
    def refresh(self, user: UserId, granted: set[RoomName], pause: int) -> None:
        self.world.host.rooms[user] = dict.fromkeys(granted)
        self.command(RefreshRooms(GATEWAY, ToUsers((user,))), pause)

    @rule(room=rooms, pause=pauses)
    def publish(self, room: RoomName, pause: int) -> None:
        self.begin(self.broker.publish(Publication(gateway=GATEWAY, target=ToRoom(room), event="x")), pause)

    @rule(method=st.sampled_from(["subscribe", "history"]), fails=st.booleans())
    def fail(self, method: str, fails: bool) -> None:
        if fails:
            self.broker.failing.add(method)
        else:
            self.broker.failing.discard(method)

    @rule(seconds=st.sampled_from([UNSUBSCRIBE_DELAY / 3, UNSUBSCRIBE_DELAY + 1]), pause=pauses)
    def pass_time(self, seconds: float, pause: int) -> None:
        # No operation has its own time limit for the broker: the moved clock would exceed it.
        self.settle()
        self.clock.move(seconds)
        self.begin(asyncio.sleep(0), pause)

    def settle(self) -> None:
        """Finish all pending operations."""

        async def quiet() -> None:
            lines = (self.broker.requests, self.broker.subscribing, self.broker.receiving)
            while True:
                before = len(self.broker.calls)
                for task in self.begun:
                    await task
                await self.world.tasks.until_idle()
                for line in lines:
                    await line.passed()
                await self.world.tasks.until_idle()
                if len(self.broker.calls) == before:
                    return

        self.loop.run_until_complete(quiet())
        self.begun.clear()

    def members(self) -> dict[Target, int]:
        """The number of members of each target, from the rooms of each connection."""
        found: dict[Target, int] = {}
        for connection in self.connections:
            if not connection.closed:
                targets: list[Target] = [
                    ToAll(),
                    ToUsers((connection.identity.user_id,)),
                    *map(ToRoom, connection.rooms),
                ]
                for target in targets:
                    found[target] = found.get(target, 0) + 1
        return found

    @rule()
    def agrees(self) -> None:
        self.settle()
        members = self.members()
        wanted = {Subscription(GATEWAY, target) for target in members}
        assert wanted <= self.broker.active_subscriptions
        assert self.world.hub.subscriptions == len(self.broker.active_subscriptions)
        self.deliver(members)

    @rule()
    def agrees_after_the_delay(self) -> None:
        self.pass_time(UNSUBSCRIBE_DELAY + 1, 0)
        self.settle()
        members = self.members()
        assert self.broker.active_subscriptions == {Subscription(GATEWAY, target) for target in members}
        assert self.world.hub.subscriptions == len(self.broker.active_subscriptions)
        self.deliver(members)

    def deliver(self, members: dict[Target, int]) -> None:
        """Every member receives publications that are made now."""
        for target, count in members.items():
            work = self.broker.publish(Publication(gateway=GATEWAY, target=target, event="now", volatile=True))
            assert self.run(work).delivered_locally == count

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """After the last connection has closed, nothing is left, for any history of operations."""
        try:
            self.settle()
            for connection in self.connections:
                self.begin(connection.close(), 0)
            self.broker.failing.clear()
            self.agrees_after_the_delay()
            assert self.broker.active_subscriptions == set()
            assert self.world.hub.pending_subscriptions == 0
            self.check_calls()
        finally:
            self.world.hub.stop()
            self.loop.run_until_complete(self.broker.stop())
            self.loop.close()

    def check_calls(self) -> None:
        """Each unsubscription follows a subscription to the same target."""
        asked: set[Subscription] = set()
        for name, subscriptions in self.broker.calls:
            if name == "unsubscribe":
                assert isinstance(subscriptions, tuple)
                assert asked.issuperset(subscriptions)
                asked.difference_update(subscriptions)
            elif name == "subscribe":
                assert isinstance(subscriptions, tuple)
                asked.update(subscriptions)


SubscriptionsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestSubscriptions = SubscriptionsMachine.TestCase
