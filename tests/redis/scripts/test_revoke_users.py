"""`revoke_users.lua` keeps one time for each user."""

from __future__ import annotations

from asgi_realtime.redis.link import Argument
from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def revoke(scripts: ScriptRedis, *users: Argument, most: int = 100, seconds: float = 60.0) -> int:
    words = most, round(seconds * 1_000), *users
    count: int = scripts.run(Script.REVOKE_USERS, [scripts.keys.revoked_users], *words)
    return count


def remembered(scripts: ScriptRedis) -> dict[str, float]:
    """The time of each user."""
    found = scripts.client.zrange(scripts.keys.revoked_users, 0, -1, withscores=True)
    return {user.decode(): time for user, time in found}


def test_the_latest_time_of_a_user_wins_in_whichever_order_they_come(scripts: ScriptRedis) -> None:
    assert revoke(scripts, "ann", "1764496800.123456", "bob", "1764496800.5") == 2
    assert revoke(scripts, "ann", "1764496900.654321", "bob", "1764496700.5") == 2
    assert remembered(scripts) == {"ann": 1764496900.654321, "bob": 1764496800.5}


def test_over_the_limit_the_earliest_is_forgotten(scripts: ScriptRedis) -> None:
    assert revoke(scripts, "ann", "1.5", "bob", "3.5", "eve", "2.5", most=2) == 2
    assert remembered(scripts) == {"bob": 3.5, "eve": 2.5}


def test_the_key_is_kept_for_the_longest_time_of_any_process(scripts: ScriptRedis) -> None:
    revoke(scripts, "ann", "1.5", seconds=60)
    revoke(scripts, "bob", "2.5", seconds=10)
    assert 50_000 < scripts.milliseconds_left(scripts.keys.revoked_users) <= 60_000
    revoke(scripts, "bob", "3.5", seconds=90)
    assert 80_000 < scripts.milliseconds_left(scripts.keys.revoked_users) <= 90_000
