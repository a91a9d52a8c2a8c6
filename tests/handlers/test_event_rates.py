"""Event rates: as strict as permanent token buckets, although idle buckets are dropped."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.handlers.event_rates import EventRates
from asgi_realtime.limits import Limits
from asgi_realtime.values.ids import UserId

ANN, BEN = UserId("ann"), UserId("ben")
NO_LIMIT, NO_BURST = 1e6, 10**6


class Sender:
    """The object that rates keep for a connection."""

    def __init__(self) -> None:
        self.refilled_at = 0.0


class Bucket:
    """A simple token bucket."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst, self.tokens, self.updated = rate, burst, float(burst), now

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens < 1 - 1e-4:
            return False
        self.tokens -= 1
        return True


class OneConnection:
    """A separate connection, whose user has no rate limit."""

    def __init__(self, rate: float, burst: int) -> None:
        limits = Limits(event_rate=rate, event_burst=burst, user_event_rate=NO_LIMIT, user_event_burst=NO_BURST)
        self._rates = EventRates(limits)
        self._sender = Sender()

    def admits(self, now: float) -> bool:
        return self._rates.admits(self._sender, ANN, now)


def of_users(rate: float, burst: int) -> EventRates:
    return EventRates(Limits(event_rate=NO_LIMIT, event_burst=NO_BURST, user_event_rate=rate, user_event_burst=burst))


def test_a_connection_sends_its_burst_at_once_and_then_its_rate() -> None:
    one = OneConnection(rate=2.0, burst=3)
    assert [one.admits(100.0) for _ in range(4)] == [True, True, True, False]
    assert [one.admits(100.4), one.admits(100.5), one.admits(100.5)] == [False, True, False]
    assert [one.admits(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_burst_is_exact_at_any_time_of_the_clock() -> None:
    for now in (0.0, 12.3, 1e6 + 0.1, 3e7 + 0.7):
        one = OneConnection(rate=200.0, burst=1000)
        assert sum(one.admits(now) for _ in range(1100)) == 1000


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    waits=st.lists(st.floats(0, 10) | st.just(0.0), min_size=1, max_size=200),
)
def test_a_connection_is_never_over_its_rate(rate: float, burst: int, waits: list[float]) -> None:
    one = OneConnection(rate, burst)
    times = list(itertools.accumulate(waits))
    taken = [now for now in times if one.admits(now)]
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = burst + rate * (taken[last] - start)
            assert last - first + 1 <= allowed + 0.01


@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 50), count=st.integers(1, 100))
def test_a_client_that_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    one = OneConnection(rate, burst)
    # Slightly slower than the rate: sums of fractions are not exact.
    assert all(one.admits(number * 1.000001 / rate) for number in range(count))


@given(
    st.lists(st.tuples(st.sampled_from([ANN, BEN]), st.sampled_from([0.0, 0.1, 0.9, 1.5, 1.6, 3.1, 10.0]))),
    st.integers(1, 4),
)
def test_forgetting_users_changes_nothing(steps: list[tuple[UserId, float]], burst: int) -> None:
    rates = of_users(2.0, burst)
    kept = {user_id: Bucket(2.0, burst, 100.0) for user_id in (ANN, BEN)}
    now = 100.0
    for user_id, passed in steps:
        now += passed
        # A new connection each time: events on other connections of the user count.
        assert rates.admits(Sender(), user_id, now) == kept[user_id].take(now)


def test_an_event_refused_by_one_limit_does_not_count_for_the_other() -> None:
    rates = EventRates(Limits(event_rate=1.0, event_burst=2, user_event_rate=1.0, user_event_burst=3))
    first, second = Sender(), Sender()
    assert [rates.admits(first, ANN, 100.0) for _ in range(9)] == [True, True, *[False] * 7]
    assert rates.admits(second, ANN, 100.0), "the user has one left"
    assert not rates.admits(second, ANN, 100.0)
    assert rates.admits(second, BEN, 100.0), "the connection has one left"


def test_silent_users_are_forgotten() -> None:
    rates = of_users(10.0, 100)
    for number in range(1_000):
        rates.admits(Sender(), UserId(str(number)), 50.0)
    assert len(rates) == 1_000
    rates.admits(Sender(), ANN, 60.0)
    assert len(rates) == 1_001, "the buckets of the last users are not full again"
    rates.admits(Sender(), ANN, 70.0)
    assert len(rates) == 1


@given(
    burst=st.integers(1, 20),
    user_burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), max_size=12),
)
def test_many_events_at_once_count_as_one_after_the_other(
    burst: int, user_burst: int, steps: list[tuple[float, int]]
) -> None:
    limits = Limits(event_rate=2.0, event_burst=burst, user_event_rate=3.0, user_event_burst=user_burst)
    one, many, now = EventRates(limits), EventRates(limits), 1000.0
    sender, other = Sender(), Sender()
    for seconds, events in steps:
        now += seconds
        admitted = sum(one.admits(sender, ANN, now) for _ in range(events))
        available = min(events, many.available(other, ANN, now))
        if available:
            many.count(available, other, ANN, now)
        assert available == admitted
