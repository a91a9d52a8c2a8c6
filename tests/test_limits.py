"""Limits, room names, and the token bucket."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.limits import Limits, TokenBucket, check_room_name

LIMITS = Limits()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_bound_is_a_finite_number_above_zero(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"MEW_{field.upper()} "):
        dataclasses.replace(LIMITS, **{field: value})


@pytest.mark.parametrize(
    "room", ["general", "42", "a room", "频道", "👩‍👩‍👧", "می‌خواهم", "a/b:c#d", "x" * 200, "é" * 100]
)
def test_a_room_name_a_host_may_mean(room: str) -> None:
    check_room_name(room, LIMITS)


@pytest.mark.parametrize("room", ["", "x" * 201, "é" * 101, "a\nb", "\0", "a\x1b[0m", "\x85", "\ud800"])
def test_a_room_name_nobody_means_is_refused(room: str) -> None:
    with pytest.raises(InvalidMessage, match="a room name"):
        check_room_name(room, LIMITS)


@pytest.mark.parametrize("room", [None, 7, ["general"], {"room": "general"}, b"general"])
def test_a_room_name_is_a_string(room: object) -> None:
    with pytest.raises(InvalidMessage, match="a room name is a non-empty string"):
        check_room_name(room, LIMITS)


@given(st.text())
def test_a_room_name_that_passes_can_be_sent(room: str) -> None:
    try:
        check_room_name(room, LIMITS)
    except InvalidMessage:
        return
    assert 0 < len(room.encode()) <= LIMITS.room_name_bytes


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2.0, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.4), bucket.take(100.5), bucket.take(100.5)] == [False, True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_gains_and_loses_nothing_by_a_clock_that_goes_back() -> None:
    bucket = TokenBucket(rate=1.0, burst=2, now=100.0)
    assert bucket.take(100.0)
    assert bucket.take(50.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    waits=st.lists(st.floats(0, 10) | st.just(0.0), min_size=1, max_size=200),
)
def test_a_bucket_is_never_over_its_rate(rate: float, burst: int, waits: list[float]) -> None:
    bucket = TokenBucket(rate, burst, now=0.0)
    times = list(itertools.accumulate(waits))
    taken = [now for now in times if bucket.take(now)]
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = burst + rate * (taken[last] - start)
            assert last - first + 1 <= allowed + 1e-6


@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 50), count=st.integers(1, 100))
def test_a_client_that_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    bucket = TokenBucket(rate, burst, now=0.0)
    # A hair slower than the rate: sums of fractions are not exact.
    assert all(bucket.take(number * 1.000001 / rate) for number in range(count))
