"""`presence_offline.lua` gives each user whose grace period has ended to one process."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

SECOND = 1_000_000


def take(scripts: ScriptRedis, most: int = 10) -> tuple[int, list[str]]:
    names = [scripts.keys.leaving, scripts.keys.announcing]
    left, *users = scripts.run(Script.PRESENCE_OFFLINE, names, most, 5 * SECOND)
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


def test_it_is_remembered_for_a_while_who_is_being_announced(scripts: ScriptRedis) -> None:
    now = scripts.now()
    scripts.client.zadd(scripts.keys.announcing, {"forgotten": now - 1})
    scripts.client.zadd(scripts.keys.leaving, {"ada": now})
    take(scripts)
    [(user, until)] = scripts.client.zrange(scripts.keys.announcing, 0, -1, withscores=True)
    assert user == b"ada"
    assert now + 5 * SECOND <= until <= scripts.now() + 5 * SECOND
