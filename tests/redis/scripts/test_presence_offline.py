"""`presence_offline.lua` gives each user whose grace period has ended to one process."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

SECOND = 1_000_000


def take(
    scripts: ScriptRedis,
    most: int = 10,
    *,
    node: str = "node",
    number: int = 1,
    again: bool = False,
    announced: dict[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Microseconds until the next end, and the users that a node got."""
    keys = scripts.keys
    names = [keys.leaving, keys.announcing, keys.taken, keys.connections]
    words = [word for pair in (announced or {}).items() for word in pair]
    left, *taken = scripts.run(Script.PRESENCE_OFFLINE, names, most, 5 * SECOND, node, number, int(again), *words)
    assert {token.decode().partition(":")[0] for token in taken[1::2]} <= {node}
    return left, [user.decode() for user in taken[::2]]


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


def test_a_node_gets_the_users_that_it_took_again_until_it_has_announced_them(scripts: ScriptRedis) -> None:
    scripts.client.zadd(scripts.keys.leaving, {"ada": 1, "bob": 2})
    assert take(scripts)[1] == ["ada", "bob"]
    assert take(scripts)[1] == []
    assert sorted(take(scripts, again=True)[1]) == ["ada", "bob"]
    assert take(scripts, again=True, announced={"ada": "node:1", "bob": "node:0"})[1] == ["bob"]
    assert take(scripts, node="other", again=True)[1] == []
    assert take(scripts, 0, again=True, announced={"bob": "node:1"})[1] == []
    assert scripts.client.hlen(scripts.keys.taken) == 0
    assert scripts.client.zcard(scripts.keys.announcing) == 0


def test_a_user_who_is_online_again_is_not_given_again(scripts: ScriptRedis) -> None:
    scripts.client.zadd(scripts.keys.leaving, {"ada": 1, "bob": 2})
    assert take(scripts)[1] == ["ada", "bob"]
    scripts.client.hset(scripts.keys.connections, "ada", 1)
    scripts.client.zadd(scripts.keys.leaving, {"bob": scripts.now() + 60 * SECOND})  # and within the grace period
    assert take(scripts, again=True)[1] == []


def test_what_was_announced_does_not_confirm_a_later_end(scripts: ScriptRedis) -> None:
    scripts.client.zadd(scripts.keys.leaving, {"ada": 1})
    take(scripts, number=1)
    scripts.client.zadd(scripts.keys.leaving, {"ada": 1})
    assert take(scripts, number=2)[1] == ["ada"]
    assert take(scripts, again=True, announced={"ada": "node:1"})[1] == ["ada"]
