"""`history.lua` reads what was published to some targets, and returns whether something is missing."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_publish import number_of, publish

TTL = 60_000
MINUTE = 60_000_000
"""In microseconds."""
LOST = 0


def history(
    scripts: ScriptRedis, known: int = 0, final: int = 0, most: int = 1_000_000, ttl: int = TTL, **since: int
) -> list[Any]:
    """The answer for each target: lost, or whether it is all, and the numbers and payloads."""
    names = [scripts.keys.state]
    for suffix in since:
        names += scripts.keys.last(suffix), scripts.keys.history(suffix)
    _, _, *answers = scripts.run(Script.HISTORY, names, ttl, known, final, most, *since.values())
    return [
        answer if answer == LOST else (answer[0], *zip(map(int, answer[1::2]), answer[2::2], strict=True))
        for answer in answers
    ]


@pytest.fixture
def numbers(scripts: ScriptRedis) -> list[int]:
    """The numbers of four publications: `0`, `1` and `3` to the target a, `2` to the target b."""
    return [
        number_of(publish(scripts, suffix, payload=str(payload))[0])
        for payload, suffix in enumerate(("a", "a", "b", "a"))
    ]


def test_epoch_and_the_newest_number_of_all_targets_are_returned(scripts: ScriptRedis, numbers: list[int]) -> None:
    answer = scripts.run(Script.HISTORY, [scripts.keys.state], TTL, 0, 0, 1_000)
    assert answer == [scripts.client.hget(scripts.keys.state, "epoch"), b"%d" % numbers[-1]]
    other = scripts.run(Script.HISTORY, [scripts.keys.last("no state")], TTL, 0, 0, 1_000)
    assert other == [b"", b"0"]


def test_what_follows_a_number_is_returned_for_each_target(scripts: ScriptRedis, numbers: list[int]) -> None:
    assert history(scripts, a=numbers[0], b=numbers[0]) == [
        (1, (numbers[1], b"1"), (numbers[3], b"3")),
        (1, (numbers[2], b"2")),
    ]
    assert history(scripts, a=numbers[3], b=numbers[2]) == [(1,), (1,)]
    assert history(scripts, a=numbers[2]) == [(1, (numbers[3], b"3"))]


def test_nothing_newer_than_the_final_number_is_returned(scripts: ScriptRedis, numbers: list[int]) -> None:
    assert history(scripts, final=numbers[2], a=numbers[0]) == [(1, (numbers[1], b"1"))]


def test_an_answer_that_is_full_says_that_there_is_more(scripts: ScriptRedis, numbers: list[int]) -> None:
    assert history(scripts, most=1, a=numbers[0], b=numbers[0]) == [(0, (numbers[1], b"1")), (0,)]
    assert history(scripts, most=60, a=numbers[0]) == [(0, (numbers[1], b"1"), (numbers[3], b"3"))]
    # An entry counts with its payload and 50 bytes.
    assert history(scripts, most=102, a=numbers[0], b=numbers[0]) == [
        (0, (numbers[1], b"1"), (numbers[3], b"3")),
        (0,),
    ]
    assert history(scripts, most=103, a=numbers[0], b=numbers[0]) == [
        (1, (numbers[1], b"1"), (numbers[3], b"3")),
        (0, (numbers[2], b"2")),
    ]


def test_entries_that_were_dropped_are_a_loss(scripts: ScriptRedis, numbers: list[int]) -> None:
    publish(scripts, "a", size=2)
    assert history(scripts, a=numbers[1])[0][0] == 1
    assert history(scripts, a=numbers[0])[0] == LOST


def test_a_lost_stream_is_a_loss_unless_nothing_is_asked_of_it(scripts: ScriptRedis, numbers: list[int]) -> None:
    scripts.client.delete(scripts.keys.history("a"))
    assert history(scripts, a=numbers[1], b=numbers[1]) == [LOST, (1, (numbers[2], b"2"))]
    assert history(scripts, a=numbers[3]) == [(1,)]


def test_a_target_without_publications_is_whole_as_long_as_history_would_have_kept_them(
    scripts: ScriptRedis, numbers: list[int]
) -> None:
    now = scripts.now()
    assert history(scripts, silent=now - MINUTE // 2) == [(1,)]
    assert history(scripts, silent=now - 2 * MINUTE) == [LOST]
    assert history(scripts, silent=numbers[3]) == [(1,)]
    # A process that was subscribed until half a minute ago has missed nothing.
    assert history(scripts, known=now - MINUTE // 2, silent=now - 2 * MINUTE) == [(1,)]


def test_nothing_is_lost_after_the_newest_publication_however_old_it_is(scripts: ScriptRedis) -> None:
    newest = scripts.now() - 2 * MINUTE
    scripts.client.hset(scripts.keys.state, mapping={"epoch": "e", "seq": newest})
    assert history(scripts, a=newest) == [(1,)]
    assert history(scripts, a=newest - 1) == [LOST]


def test_the_first_publication_of_a_target_is_whole_only_if_none_before_it_can_have_expired(
    scripts: ScriptRedis, numbers: list[int]
) -> None:
    now = scripts.now()
    everything = (1, (numbers[0], b"0"), (numbers[1], b"1"), (numbers[3], b"3"))
    assert history(scripts, a=now - MINUTE // 2) == [everything]
    assert history(scripts, a=now - 2 * MINUTE) == [LOST]
    assert history(scripts, known=now - MINUTE // 2, a=0) == [everything]


def test_a_process_notices_that_what_it_had_received_was_evicted(scripts: ScriptRedis, numbers: list[int]) -> None:
    scripts.client.delete(scripts.keys.last("a"), scripts.keys.history("a"))
    publish(scripts, "a")  # it says that there was none before
    assert history(scripts, known=numbers[3], a=numbers[3]) == [LOST]


def test_a_process_notices_that_what_it_had_received_is_not_available_after_a_failover(
    scripts: ScriptRedis, numbers: list[int]
) -> None:
    received = numbers[3] + 1  # the server that had it is gone
    later = number_of(publish(scripts, "a", payload="later")[0])
    assert history(scripts, known=received, a=received) == [LOST]
    assert history(scripts, known=received, b=received) == [(1,)]
    # A client's position is not one of each target.
    assert history(scripts, a=received) == [(1, (later, b"later"))]


def test_what_is_older_than_asked_is_left_out(scripts: ScriptRedis) -> None:
    old, new = scripts.now() - 2 * MINUTE, number_of(publish(scripts, "a", payload="new")[0])
    name = scripts.keys.history("a")
    scripts.client.delete(name)
    for number, before, payload in ((old, 0, "old"), (new, old, "new")):
        scripts.client.execute_command("XADD", name, f"{number}-0", "p", before, "d", payload, "o", "o")
    assert history(scripts, a=old) == [(1, (new, b"new"))]
    assert history(scripts, a=old - 1) == [LOST]
    assert history(scripts, ttl=3 * TTL, a=old - 1) == [(1, (old, b"old"), (new, b"new"))]
