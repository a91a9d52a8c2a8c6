"""`once_claim.lua` claims an event, or returns its answer."""

from __future__ import annotations

from typing import Any

from asgi_realtime.redis.scripts import Script
from asgi_realtime.values.ids import UserId
from tests.redis.scripts.conftest import ScriptRedis

TTL = CLAIM_TTL = 60_000_000
"""Microseconds."""


def names(scripts: ScriptRedis) -> list[str]:
    return [scripts.keys.answers(UserId("ann")), scripts.keys.answered(UserId("ann"))]


def claim(scripts: ScriptRedis, event: str, call: str) -> Any:
    return scripts.run(Script.ONCE_CLAIM, names(scripts), event, call, TTL, CLAIM_TTL)


def make_older(scripts: ScriptRedis, event: str, microseconds: int) -> None:
    scripts.client.zincrby(names(scripts)[1], -microseconds, event)


def test_an_event_is_claimed_by_one_call(scripts: ScriptRedis) -> None:
    assert claim(scripts, "5:order1", "c-one") == [0]
    assert claim(scripts, "5:order1", "c-two") == [2]
    assert claim(scripts, "5:order1", "c-one") == [0], "its reply was lost"
    assert claim(scripts, "5:order2", "c-two") == [0]


def test_a_claim_ends_after_its_time(scripts: ScriptRedis) -> None:
    assert claim(scripts, "5:order1", "c-one") == [0]
    make_older(scripts, "5:order1", CLAIM_TTL)
    assert claim(scripts, "5:order1", "c-two") == [0]
    assert claim(scripts, "5:order1", "c-one") == [2]


def test_an_answer_is_returned_until_it_is_too_old(scripts: ScriptRedis) -> None:
    assert claim(scripts, "5:order1", "c-one") == [0]
    answer: list[str | bytes | int] = [b"a\0\xff", TTL, CLAIM_TTL, 10, 1_000]
    assert scripts.run(Script.ONCE_KEEP, names(scripts), "5:order1", "c-one", *answer) == 1
    assert claim(scripts, "5:order1", "c-two") == [1, b"\0\xff"]
    make_older(scripts, "5:order1", TTL)
    assert claim(scripts, "5:order1", "c-two") == [0]
    assert scripts.client.hget(names(scripts)[0], "") == b"0"


def test_the_keys_expire(scripts: ScriptRedis) -> None:
    claim(scripts, "5:order1", "c-one")
    assert all(100_000 < scripts.client.pttl(name) <= 120_000 for name in names(scripts))
