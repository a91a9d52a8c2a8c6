"""`node_lease.lua` renews leases, and gives each ended node to one other node."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis

LEASE = 60_000_000
"""Microseconds."""


def lease(
    scripts: ScriptRedis, node: str, *, microseconds: int = LEASE, is_new: bool = False, most: int = 8
) -> tuple[int, int, list[str]]:
    """Whether the node has a lease, when the next one ends, and the nodes to remove."""
    names = [scripts.keys.nodes, scripts.keys.ended_nodes]
    has_lease, left, *ended = scripts.run(Script.NODE_LEASE, names, node, microseconds, int(is_new), most)
    return has_lease, left, [each.decode() for each in ended]


def end_lease(scripts: ScriptRedis, *nodes: str) -> None:
    scripts.client.zadd(scripts.keys.nodes, {node: scripts.now() - 1 for node in nodes})


def test_a_node_has_a_lease_once_it_began_one_and_may_renew_it(scripts: ScriptRedis) -> None:
    assert lease(scripts, "one") == (0, 0, [])
    assert scripts.client.exists(scripts.keys.nodes) == 0
    assert lease(scripts, "one", is_new=True, microseconds=1_000_000)[0] == 1
    has_lease, left, ended = lease(scripts, "one")
    assert (has_lease, ended) == (1, [])
    assert LEASE - 1_000_000 < left <= LEASE


def test_the_time_until_the_next_lease_ends_is_that_of_any_node(scripts: ScriptRedis) -> None:
    lease(scripts, "short", is_new=True, microseconds=LEASE // 2)
    _, left, _ = lease(scripts, "long", is_new=True)
    assert 0 < left <= LEASE // 2


def test_an_ended_node_goes_to_one_node_and_to_another_if_that_one_does_not_finish(scripts: ScriptRedis) -> None:
    for node in ("dead", "one", "two"):
        lease(scripts, node, is_new=True)
    end_lease(scripts, "dead")
    assert lease(scripts, "one")[2] == ["dead"]
    assert lease(scripts, "two")[2] == []
    assert lease(scripts, "dead")[0] == 0
    scripts.client.zadd(scripts.keys.ended_nodes, {"dead": scripts.now() - 1})  # the time of "one" is up
    assert lease(scripts, "two")[2] == ["dead"]


def test_a_node_takes_over_a_few_at_a_time_or_none(scripts: ScriptRedis) -> None:
    dead = [f"dead {number}" for number in range(5)]
    for node in (*dead, "one", "two"):
        lease(scripts, node, is_new=True)
    end_lease(scripts, *dead)
    assert lease(scripts, "one", most=0)[2] == []
    taken = lease(scripts, "one", most=3)[2], lease(scripts, "two", most=3)[2], lease(scripts, "two", most=3)[2]
    assert list(map(len, taken)) == [3, 2, 0]
    assert sorted(taken[0] + taken[1]) == dead


def test_a_node_does_not_remove_itself(scripts: ScriptRedis) -> None:
    lease(scripts, "one", is_new=True)
    end_lease(scripts, "one")  # it was late, and no other node has noticed
    assert lease(scripts, "one")[::2] == (1, [])
