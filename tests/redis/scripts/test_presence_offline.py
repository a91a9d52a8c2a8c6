"""`presence_offline.lua` gives each user whose grace period has ended to one process."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

SECOND = 1_000_000


def take(scripts: ScriptRedis, most: int = 10) -> tuple[int, list[str]]:
    left, *users = scripts.run(Script.PRESENCE_OFFLINE, [scripts.keys.leaving], most)
    return left, [user.decode() for user in users]


def test_each_user_is_taken_once_and_no_earlier_than_the_end(scripts: ScriptRedis) -> None:
    assert take(scripts) == (-1, [])
    now = scripts.now()
    ends = {
        "third": now - 1 * SECOND,
        "first": now - 3 * SECOND,
        "second": now - 2 * SECOND,
        "later": now + 60 * SECOND,
    }
    scripts.client.zadd(scripts.keys.leaving, ends)
    assert take(scripts, 2) == (0, ["first", "second"])
    left, users = take(scripts, 2)
    assert users == ["third"]
    assert 0 < left <= 60 * SECOND
    assert take(scripts)[1] == []
