"""The lower bound of a server's time."""

from __future__ import annotations

import pytest

from asgi_realtime.redis.server_clock import ServerClock

NOON = 1_795_000_000_000_000


def test_nothing_is_known_at_first() -> None:
    assert ServerClock().earliest(1_000.0) == 1


@pytest.mark.parametrize("late", [0, 30_000_000])
@pytest.mark.parametrize("rate", [0.9995, 1.0, 1.0005])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 3_600.0])
def test_it_is_never_later_than_the_server_shows(late: int, rate: float, seconds: float) -> None:
    clock = ServerClock()
    clock.seen(NOON - late, 50.0)  # the reply was under way for so long
    shows = NOON + seconds * rate * 1_000_000
    assert shows - late - 6_000_000 < clock.earliest(50.0 + seconds) < shows


def test_the_newest_reply_counts() -> None:
    clock = ServerClock()
    clock.seen(NOON, 50.0)
    clock.seen(NOON + 60_000_000, 110.0)
    assert NOON + 59_000_000 < clock.earliest(110.0) < NOON + 60_000_000
