"""The contract of presence: one set of tests, run with each implementation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.presence import MemoryPresence, Presence
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId
from tests.support.distant_presence import DistantPresence

MEW = GatewayName("/")
INFRA = GatewayName("/infra")
ADA = UserId("ada")
BOB = UserId("bob")
TAB = ConnectionId("tab")
PHONE = ConnectionId("phone")


class Environment(Protocol):
    """What the tests need from an implementation: presences, and timers that the test moves."""

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


on_every_presence = pytest.mark.parametrize("make_environment", [MemoryEnvironment, DistantEnvironment])


class Announcements(list[tuple[GatewayName, UserId]]):
    """The users announced offline, in order."""

    def offline(self, gateway: GatewayName, user_id: UserId) -> None:
        self.append((gateway, user_id))


@on_every_presence
async def test_the_first_connection_comes_online_and_the_last_goes_offline_after_the_grace(
    make_environment: type[Environment],
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


@on_every_presence
async def test_reconnecting_within_the_grace_announces_no_transition(make_environment: type[Environment]) -> None:
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


@on_every_presence
async def test_joining_and_leaving_twice_count_once(make_environment: type[Environment]) -> None:
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


@on_every_presence
async def test_connections_are_counted_per_gateway_and_user(make_environment: type[Environment]) -> None:
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


@on_every_presence
async def test_the_set_of_users_online_is_a_copy(make_environment: type[Environment]) -> None:
    presence = make_environment().presence()
    await presence.start(Announcements().offline)
    await presence.join(MEW, ADA, TAB)
    (await presence.online(MEW)).clear()
    assert await presence.is_online(MEW, ADA)
    await presence.stop()


@on_every_presence
async def test_stopping_announces_no_user_offline(make_environment: type[Environment]) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence()
    await presence.start(announced.offline)
    await presence.join(MEW, ADA, TAB)
    await presence.join(MEW, BOB, TAB)
    await presence.leave(MEW, ADA, TAB)
    await presence.stop()
    await presence.leave(MEW, BOB, TAB)  # closed by the stop, slightly later
    await environment.pass_time(60.0)
    assert announced == []


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


@on_every_presence
@settings(deadline=None)
@given(story=st.lists(steps, max_size=40))
async def test_transitions_alternate_and_agree_with_who_is_online(
    make_environment: type[Environment], story: list[tuple[str, UserId, ConnectionId] | float]
) -> None:
    environment, announced = make_environment(), Announcements()
    presence = environment.presence(grace=5.0)
    await presence.start(announced.offline)
    online: set[UserId] = set()  # as seen from the announcements alone
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
