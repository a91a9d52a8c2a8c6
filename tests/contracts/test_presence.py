"""The contract of presence: one set of tests, run with each implementation."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import RateLimited
from asgi_realtime.presence import MemoryPresence, Presence
from asgi_realtime.presence.base import Announce
from asgi_realtime.presence.redis import RedisPresence
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId
from tests.support.distant_presence import DistantPresence
from tests.support.redis_places import LONG, PLACES, RedisPlace, RedisPlaces

MEW = GatewayName("/")
INFRA = GatewayName("/infra")
ADA = UserId("ada")
BOB = UserId("bob")
TAB = ConnectionId("tab")
PHONE = ConnectionId("phone")
TIMEOUT = 10.0
"""Seconds that Redis may take to answer on a busy machine."""


class Environment(Protocol):
    """Makes the presences of an implementation, and moves their timers."""

    def presence(self, *, grace: float = 5.0) -> Presence: ...

    async def pass_time(self, seconds: float) -> None: ...


@dataclasses.dataclass
class Alarm:
    at: float
    ring: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class MemoryEnvironment:
    """The presence of one process, on timers that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.alarms: list[Alarm] = []

    def presence(self, *, grace: float = 5.0) -> Presence:
        return MemoryPresence(grace=grace, call_later=self.call_later)

    def call_later(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        alarm = Alarm(self.now + seconds, ring)
        self.alarms.append(alarm)
        return alarm

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [alarm for alarm in self.alarms if alarm.at <= self.now]
        self.alarms = [alarm for alarm in self.alarms if alarm.at > self.now]
        for alarm in due:
            if not alarm.cancelled:
                alarm.ring()


class DistantEnvironment(MemoryEnvironment):
    """A presence behind a simulated network, on the same timers."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[DistantPresence] = []

    def presence(self, *, grace: float = 5.0) -> Presence:
        self.made.append(DistantPresence(MemoryPresence(grace=grace, call_later=self.call_later)))
        return self.made[-1]

    async def pass_time(self, seconds: float) -> None:
        await super().pass_time(seconds)
        for presence in self.made:
            await presence.receiving.passed()


class RedisEnvironment(MemoryEnvironment):
    """Presences on a real Redis, with keys of their own.

    Redis has its own clock. Instead of moving that, the ends of grace periods in Redis are moved.
    """

    LEASE = 0.15

    def __init__(self, place: RedisPlace) -> None:
        super().__init__()
        self.place = place
        self.prefix = f"test-{secrets.token_hex(4)}"
        self.made: list[ConnectedPresence] = []

    def presence(self, *, grace: float = 5.0) -> Presence:
        return ConnectedPresence(self, grace)

    async def pass_time(self, seconds: float) -> None:
        for presence in self.made:
            await presence.until_answered()
        keys = [Keys(self.prefix, gateway).leaving for gateway in (MEW, INFRA)]
        with self.place.client() as client:
            for key in keys:
                for user, _ in client.zrange(key, 0, -1, withscores=True):
                    client.zincrby(key, -seconds * 1_000_000, user)
        await super().pass_time(seconds)
        for presence in self.made:
            await presence.until_answered()


class ConnectedPresence(RedisPresence):
    """A presence with its own connection to Redis. It starts once that is connected."""

    def __init__(self, environment: RedisEnvironment, grace: float) -> None:
        self.environment = environment
        self.broker = RedisBroker(RedisServer(environment.place.url), prefix=environment.prefix, timeout=TIMEOUT)
        super().__init__(
            self.broker.links,
            grace=grace,
            lease=environment.LEASE,
            timeout=TIMEOUT,
            call_later=environment.call_later,
        )

    async def start(
        self,
        offline: Announce,
        online: Callable[[GatewayName, UserId], None] | None = None,
    ) -> None:
        await self.broker.start_without_clients()
        for gateway in (MEW, INFRA):
            await self.broker.until_ready(gateway)  # in a cluster, each has a connection of its own
        await super().start(offline, online)
        self.environment.made.append(self)
        # By then it would have announced users as offline.
        await asyncio.sleep(self.environment.LEASE / 3)

    async def stop(self) -> None:
        if self in self.environment.made:
            self.environment.made.remove(self)
        await super().stop()
        await self.broker.stop()

    async def until_answered(self) -> None:
        """Return when Redis has answered everything that was sent to it."""
        await self.online(MEW)
        await asyncio.sleep(0)


MakeEnvironment = Callable[[], Environment]


@pytest.fixture(scope="module", params=["memory", "distant", *PLACES])
def make_environment(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> Iterator[MakeEnvironment]:
    if request.param in PLACES:
        place = redis_places(request.param)
        yield lambda: RedisEnvironment(place)
        assert place.denied() == []
    else:
        yield MemoryEnvironment if request.param == "memory" else DistantEnvironment


class Announcements(list[tuple[GatewayName, UserId]]):
    """The users announced offline, in order."""

    def offline(self, gateway: GatewayName, user_id: UserId) -> None:
        self.append((gateway, user_id))


async def test_the_first_connection_comes_online_and_the_last_goes_offline_after_the_grace(
    make_environment: MakeEnvironment,
) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)

    assert await presence.join(MEW, ADA, TAB)
    assert not await presence.join(MEW, ADA, PHONE)
    await presence.leave(MEW, ADA, TAB)
    await environment.pass_time(60.0)
    assert announced == []
    assert await presence.is_online(MEW, ADA)
    await presence.leave(MEW, ADA, PHONE)
    await environment.pass_time(4.0)
    assert announced == []
    assert await presence.online(MEW) == {ADA}
    await environment.pass_time(2.0)
    assert announced == [(MEW, ADA)]
    assert await presence.online(MEW) == set()
    assert not await presence.is_online(MEW, ADA)
    await environment.pass_time(60.0)
    assert announced == [(MEW, ADA)]
    assert await presence.join(MEW, ADA, TAB)
    await presence.stop()


async def test_reconnecting_within_the_grace_announces_no_transition(make_environment: MakeEnvironment) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)
    await presence.join(MEW, ADA, TAB)
    for number in range(3):
        await presence.leave(MEW, ADA, ConnectionId(f"tab{number or ''}"))
        await environment.pass_time(4.0)
        assert not await presence.join(MEW, ADA, ConnectionId(f"tab{number + 1}"))
    await environment.pass_time(60.0)
    assert announced == []
    await presence.leave(MEW, ADA, ConnectionId("tab3"))
    await environment.pass_time(6.0)
    assert announced == [(MEW, ADA)]
    await presence.stop()


async def test_joining_and_leaving_twice_count_once(make_environment: MakeEnvironment) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)
    await presence.leave(MEW, ADA, TAB)
    assert await presence.join(MEW, ADA, TAB)
    assert not await presence.join(MEW, ADA, TAB)
    await presence.leave(MEW, ADA, PHONE)  # never joined
    await environment.pass_time(6.0)
    assert announced == []
    await presence.leave(MEW, ADA, TAB)
    await environment.pass_time(4.0)
    await presence.leave(MEW, ADA, TAB)  # does not restart the grace period
    await environment.pass_time(2.0)
    assert announced == [(MEW, ADA)]
    await presence.leave(MEW, ADA, TAB)
    await environment.pass_time(6.0)
    assert announced == [(MEW, ADA)]
    await presence.stop()


async def test_connections_are_counted_per_gateway_and_user(make_environment: MakeEnvironment) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)
    assert await presence.join(MEW, ADA, TAB)
    assert await presence.join(INFRA, ADA, TAB)
    assert await presence.join(MEW, BOB, TAB)
    await presence.leave(MEW, ADA, TAB)
    await environment.pass_time(6.0)
    assert announced == [(MEW, ADA)]
    assert await presence.online(MEW) == {BOB}
    assert await presence.online(INFRA) == {ADA}
    await presence.stop()


async def test_the_set_of_users_online_is_a_copy(make_environment: MakeEnvironment) -> None:
    presence = make_environment().presence()
    await presence.start(Announcements().offline)
    await presence.join(MEW, ADA, TAB)
    (await presence.online(MEW)).clear()
    assert await presence.is_online(MEW, ADA)
    await presence.stop()


async def test_stopping_announces_no_user_offline(make_environment: MakeEnvironment) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)
    await presence.join(MEW, ADA, TAB)
    await presence.join(MEW, BOB, TAB)
    await presence.leave(MEW, ADA, TAB)
    await presence.stop()
    await presence.leave(MEW, BOB, TAB)  # the stop closes it slightly later
    await environment.pass_time(60.0)
    assert announced == []


async def test_a_user_has_at_most_as_many_connections_as_the_limit(make_environment: MakeEnvironment) -> None:
    presence = make_environment().presence()
    await presence.start(Announcements().offline)
    assert await presence.join(MEW, ADA, TAB, limit=2)
    assert not await presence.join(MEW, ADA, PHONE, limit=2)
    with pytest.raises(RateLimited):
        await presence.join(MEW, ADA, ConnectionId("tablet"), limit=2)
    assert not await presence.join(MEW, ADA, PHONE, limit=2)  # added before
    assert await presence.join(MEW, BOB, ConnectionId("tablet"), limit=2)
    assert await presence.join(INFRA, ADA, ConnectionId("tablet"), limit=2)
    await presence.leave(MEW, ADA, ConnectionId("tablet"))  # refused
    with pytest.raises(RateLimited):
        await presence.join(MEW, ADA, ConnectionId("tablet"), limit=2)
    await presence.leave(MEW, ADA, PHONE)
    assert not await presence.join(MEW, ADA, ConnectionId("tablet"), limit=2)
    await presence.stop()


class SlowAnnouncements:
    """Announcements that take until the test ends them."""

    def __init__(self) -> None:
        self.offline_of: dict[UserId, asyncio.Future[Any]] = {}
        self.online: asyncio.Queue[UserId] = asyncio.Queue()
        """Users who came online, which no `join` has returned."""

    def announce(self, gateway: GatewayName, user_id: UserId) -> asyncio.Future[Any]:
        announcing = self.offline_of[user_id] = asyncio.get_running_loop().create_future()
        return announcing

    def came_online(self, gateway: GatewayName, user_id: UserId) -> None:
        self.online.put_nowait(user_id)


async def taken_offline(environment: Environment, presence: Presence, announcements: SlowAnnouncements) -> None:
    """Let Ada come online and go offline. That is being announced."""
    await presence.start(announcements.announce, announcements.came_online)
    assert await presence.join(MEW, ADA, TAB)
    await presence.leave(MEW, ADA, TAB)
    await environment.pass_time(6.0)
    assert list(announcements.offline_of) == [ADA]


async def test_a_user_who_returns_is_announced_online_after_offline(make_environment: MakeEnvironment) -> None:
    environment, announcements = make_environment(), SlowAnnouncements()
    presence = environment.presence()
    await taken_offline(environment, presence, announcements)
    joining = asyncio.create_task(presence.join(MEW, ADA, PHONE))
    bob = asyncio.create_task(presence.join(MEW, BOB, TAB))  # it begins after the other task
    assert await bob, "other users do not wait"
    assert await presence.is_online(MEW, ADA)
    assert not joining.done()
    announcements.offline_of[ADA].set_result(None)
    assert await joining
    assert not await presence.join(MEW, ADA, TAB)
    assert announcements.online.empty()
    await presence.stop()


async def test_a_client_does_not_wait_long_for_the_announcement_of_its_user(make_environment: MakeEnvironment) -> None:
    environment, announcements = make_environment(), SlowAnnouncements()
    presence = environment.presence()
    await taken_offline(environment, presence, announcements)
    assert not await asyncio.wait_for(presence.join(MEW, ADA, PHONE), 2)
    assert announcements.online.empty()
    announcements.offline_of[ADA].set_result(None)
    assert await asyncio.wait_for(announcements.online.get(), 10) == ADA
    await presence.leave(MEW, ADA, PHONE)
    await environment.pass_time(6.0)
    assert not await asyncio.wait_for(presence.join(MEW, ADA, PHONE), 2)
    await presence.leave(MEW, ADA, PHONE)  # before the user could be announced
    announcements.offline_of[ADA].set_result(None)
    assert await presence.join(MEW, BOB, TAB)
    assert announcements.online.empty()
    await presence.stop()


async def test_without_other_timers_the_event_loop_keeps_the_grace() -> None:
    offline: asyncio.Future[UserId] = asyncio.get_running_loop().create_future()
    presence = MemoryPresence(grace=0.01)
    await presence.start(lambda gateway, user_id: offline.set_result(user_id))
    await presence.join(MEW, ADA, TAB)
    await presence.leave(MEW, ADA, TAB)
    assert await presence.is_online(MEW, ADA)
    assert await asyncio.wait_for(offline, 5.0) == ADA
    await presence.stop()


steps = st.one_of(
    st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from([ADA, BOB]), st.sampled_from([TAB, PHONE])),
    st.sampled_from([1.0, 4.0, 6.0]),
)


Story: TypeAlias = list[tuple[str, UserId, ConnectionId] | float]


@pytest.mark.parametrize("make_environment", ["memory", "distant", "socket"], indirect=True)
@given(story=st.lists(steps, max_size=40))
async def test_transitions_alternate_and_agree_with_who_is_online(
    make_environment: MakeEnvironment, story: Story
) -> None:
    await check_transitions(make_environment, story)


@pytest.mark.parametrize("make_environment", PLACES[1:], indirect=True)
@settings(max_examples=100 if LONG else 8)
@given(story=st.lists(steps, max_size=40))
async def test_transitions_alternate_wherever_redis_is(make_environment: MakeEnvironment, story: Story) -> None:
    await check_transitions(make_environment, story)


async def check_transitions(make_environment: MakeEnvironment, story: Story) -> None:
    """Each user comes online and goes offline by turns, and the announcements say who is online."""
    environment, announced = make_environment(), Announcements()
    presence = environment.presence(grace=5.0)
    await presence.start(announced.offline)
    online: set[UserId] = set()  # computed from the announcements only
    connected: dict[UserId, set[ConnectionId]] = {ADA: set(), BOB: set()}
    for step in story:
        match step:
            case ("join", user_id, connection_id):
                if await presence.join(MEW, user_id, connection_id):
                    assert user_id not in online
                    online.add(user_id)
                connected[user_id].add(connection_id)
            case (_, user_id, connection_id):
                await presence.leave(MEW, user_id, connection_id)
                connected[user_id].discard(connection_id)
            case seconds:
                await environment.pass_time(seconds)
        for _, user_id in announced:
            online.remove(user_id)
            assert not connected[user_id]
        announced.clear()
        assert await presence.online(MEW) == online
        assert all(user_id in online for user_id in connected if connected[user_id])
    await environment.pass_time(6.0)
    assert await presence.online(MEW) == {user_id for user_id in connected if connected[user_id]}
    await presence.stop()
