"""`presence_count.lua` counts the connections of users at a node."""

from __future__ import annotations

from collections.abc import Mapping

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

NO_CHANGE, ONLINE, REFUSED, ASK_AGAIN = 0, 1, 2, 3
SECOND = 1_000_000
GRACE, GRACE_AFTER_LOSS = 5 * SECOND, 60 * SECOND


def count(
    scripts: ScriptRedis, node: str, numbers: Mapping[str, int], *, known: str = "e", new: str = "e", limit: int = 0
) -> tuple[str, int, list[int]]:
    """Epoch, microseconds until the next grace period ends, and the result for each user."""
    keys = scripts.keys
    names = [keys.connections, keys.leaving, keys.of_node(node), keys.announcing]
    pairs = [word for pair in numbers.items() for word in pair]
    epoch, left, *results = scripts.run(
        Script.PRESENCE_COUNT, names, known, new, GRACE, GRACE_AFTER_LOSS, limit, *pairs
    )
    return epoch.decode(), left, results


def results_of(scripts: ScriptRedis, node: str, *, limit: int = 0, **numbers: int) -> list[int]:
    return count(scripts, node, numbers, limit=limit)[2]


def totals(scripts: ScriptRedis) -> dict[str, int]:
    found = scripts.client.hgetall(scripts.keys.connections)
    return {user.decode(): int(number) for user, number in found.items() if user}


def leaving(scripts: ScriptRedis) -> dict[str, int]:
    """Users within their grace period, and in how many seconds it ends."""
    now = scripts.now()
    found = scripts.client.zrange(scripts.keys.leaving, 0, -1, withscores=True)
    return {user.decode(): round((ends - now) / SECOND) for user, ends in found}


def test_the_first_connection_at_any_node_brings_a_user_online(scripts: ScriptRedis) -> None:
    assert results_of(scripts, "one", ada=1, bob=2) == [ONLINE, ONLINE]
    assert results_of(scripts, "two", ada=1, eve=1) == [NO_CHANGE, ONLINE]
    assert totals(scripts) == {"ada": 2, "bob": 2, "eve": 1}


def test_a_repeated_request_has_the_same_result_and_counts_once(scripts: ScriptRedis) -> None:
    assert results_of(scripts, "one", ada=1) == [ONLINE]
    assert results_of(scripts, "one", ada=1) == [ONLINE]
    assert results_of(scripts, "two", ada=1) == [NO_CHANGE]
    assert results_of(scripts, "two", ada=1) == [NO_CHANGE]
    assert totals(scripts) == {"ada": 2}


def test_the_last_connection_begins_the_grace_period_and_a_new_one_ends_it(scripts: ScriptRedis) -> None:
    results_of(scripts, "one", ada=1)
    results_of(scripts, "two", ada=1)
    assert count(scripts, "one", {"ada": 0}) == ("e", -1, [NO_CHANGE])
    assert leaving(scripts) == {}
    _, left, results = count(scripts, "two", {"ada": 0})
    assert results == [NO_CHANGE]
    assert 0 < left <= GRACE
    assert (totals(scripts), leaving(scripts)) == ({}, {"ada": 5})
    assert count(scripts, "one", {"ada": 1}) == ("e", -1, [NO_CHANGE])  # she was not announced as offline
    assert (totals(scripts), leaving(scripts)) == ({"ada": 1}, {})


def test_a_repeated_end_does_not_move_the_grace_period(scripts: ScriptRedis) -> None:
    results_of(scripts, "one", ada=1)
    results_of(scripts, "one", ada=0)
    ends = scripts.client.zscore(scripts.keys.leaving, "ada")
    assert results_of(scripts, "one", ada=0) == [NO_CHANGE]
    assert scripts.client.zscore(scripts.keys.leaving, "ada") == ends


def test_no_user_has_more_connections_than_the_limit(scripts: ScriptRedis) -> None:
    assert results_of(scripts, "one", limit=3, ada=2) == [ONLINE]
    assert results_of(scripts, "one", limit=1, ada=2) == [ONLINE]  # as many as before is never refused
    assert results_of(scripts, "two", limit=3, ada=2) == [REFUSED]
    assert results_of(scripts, "two", limit=3, ada=1) == [NO_CHANGE]
    assert results_of(scripts, "one", limit=3, ada=3) == [REFUSED]
    assert results_of(scripts, "one", limit=1, ada=1) == [ONLINE]  # fewer than before is never refused
    assert totals(scripts) == {"ada": 2}


def test_a_removed_node_is_told_so_and_changes_nothing(scripts: ScriptRedis) -> None:
    scripts.client.hset(scripts.keys.of_node("one"), "", "")
    assert scripts.run(
        Script.PRESENCE_COUNT,
        [scripts.keys.connections, scripts.keys.leaving, scripts.keys.of_node("one"), scripts.keys.announcing],
        *("e", "e", GRACE, GRACE_AFTER_LOSS, 0, "ada", 1),
    ) == [b""]
    assert totals(scripts) == {}


def test_after_a_loss_of_data_an_end_is_announced_after_the_longer_time(scripts: ScriptRedis) -> None:
    assert count(scripts, "one", {"ada": 1, "bob": 0}, known="lost", new="next")[0] == "next"
    # That bob left was not announced before the loss, so it is announced now.
    assert (totals(scripts), leaving(scripts)) == ({"ada": 1}, {"bob": 60})
    assert count(scripts, "two", {"bob": 0}, known="next", new="another")[0] == "next"


def test_a_user_who_is_being_announced_as_offline_comes_online_afterwards(scripts: ScriptRedis) -> None:
    announcing = scripts.keys.announcing
    scripts.client.zadd(announcing, {"ada": scripts.now() + 60 * SECOND, "eve": scripts.now() - 1})
    assert results_of(scripts, "one", ada=1, bob=1, eve=1) == [ASK_AGAIN, ONLINE, ONLINE]
    assert results_of(scripts, "two", ada=1) == [NO_CHANGE], "one node announces the user"
    assert results_of(scripts, "one", ada=2) == [ASK_AGAIN]
    assert totals(scripts) == {"ada": 3, "bob": 1, "eve": 1}
    scripts.client.zrem(announcing, "ada")
    assert results_of(scripts, "one", ada=2) == [ONLINE]
