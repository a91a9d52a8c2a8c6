"""`presence_sweep.lua` removes the connections of a node that has ended."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_presence_count import GRACE, GRACE_AFTER_LOSS, leaving, results_of, totals
from tests.redis.scripts.test_presence_offline import take


def sweep(scripts: ScriptRedis, node: str, most: int = 10) -> tuple[int, int]:
    """How many users are left, and microseconds until the next grace period ends."""
    keys = scripts.keys
    names = [keys.connections, keys.leaving, keys.of_node(node), keys.taken]
    left, ends, _ = scripts.run(Script.PRESENCE_SWEEP, names, GRACE, most, 60, node, "alive")
    return left, ends


def test_users_of_other_nodes_stay_online_and_the_rest_begin_their_grace_period(scripts: ScriptRedis) -> None:
    results_of(scripts, "dead", ada=2, bob=1)
    results_of(scripts, "alive", bob=1)
    left, ends = sweep(scripts, "dead")
    assert left == 0
    assert 0 < ends <= GRACE
    assert (totals(scripts), leaving(scripts)) == ({"bob": 1}, {"ada": 5})


def test_a_removed_node_is_refused_for_a_while(scripts: ScriptRedis) -> None:
    results_of(scripts, "dead", ada=1)
    sweep(scripts, "dead")
    keys = scripts.keys
    names = [keys.connections, keys.leaving, keys.of_node("dead"), keys.announcing]
    refused = scripts.run(Script.PRESENCE_COUNT, names, "e", "e", GRACE, GRACE_AFTER_LOSS, 0, "eve", 1)
    assert refused == [b""]
    assert totals(scripts) == {}
    assert 0 < scripts.milliseconds_left(scripts.keys.of_node("dead")) <= 60_000


def test_many_users_are_removed_in_steps_that_end(scripts: ScriptRedis) -> None:
    users = {f"user {number}": 1 for number in range(25)}
    results_of(scripts, "dead", **users)
    steps = 1
    while sweep(scripts, "dead", most=2)[0]:
        steps += 1
    assert steps >= 13
    assert totals(scripts) == {}
    assert set(leaving(scripts)) == set(users)


def test_a_second_sweep_changes_nothing(scripts: ScriptRedis) -> None:
    results_of(scripts, "dead", ada=1)
    sweep(scripts, "dead")
    results_of(scripts, "alive", ada=1)
    assert sweep(scripts, "dead") == (0, -1)
    assert totals(scripts) == {"ada": 1}


def test_users_that_the_node_took_are_given_to_the_one_that_removes_it(scripts: ScriptRedis) -> None:
    keys = scripts.keys
    scripts.client.zadd(keys.leaving, {"ada": 1})
    assert take(scripts, node="dead")[1] == ["ada"]
    assert take(scripts, node="alive", again=True)[1] == []
    names = [keys.connections, keys.leaving, keys.of_node("dead"), keys.taken]
    assert scripts.run(Script.PRESENCE_SWEEP, names, GRACE, 10, 60, "dead", "alive")[2] == 1
    assert take(scripts, node="dead", again=True)[1] == []
    assert take(scripts, node="alive", again=True)[1] == ["ada"]
