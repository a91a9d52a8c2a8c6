"""`revoke_tokens.lua` keeps revoked tokens until their revocations end."""

from __future__ import annotations

from asgi_realtime.redis.link import Argument
from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def revoke(scripts: ScriptRedis, *revocations: Argument, most: int = 100) -> int:
    count: int = scripts.run(Script.REVOKE_TOKENS, [scripts.keys.revoked_tokens], most, *revocations)
    return count


def remembered(scripts: ScriptRedis) -> dict[str, int]:
    """Milliseconds until each revocation ends."""
    now = scripts.now() // 1_000
    found = scripts.client.zrange(scripts.keys.revoked_tokens, 0, -1, withscores=True)
    return {text.decode(): int(ends) - now for text, ends in found}


def test_revocations_are_counted_and_the_key_expires_with_the_last(scripts: ScriptRedis) -> None:
    assert revoke(scripts, "one", 60_000, "two", 30_000) == 2
    assert revoke(scripts, "three", 10_000) == 3
    assert {text: round(left, -4) for text, left in remembered(scripts).items()} == {
        "one": 60_000,
        "two": 30_000,
        "three": 10_000,
    }
    assert 50_000 < scripts.milliseconds_left(scripts.keys.revoked_tokens) <= 60_000


def test_the_later_end_counts(scripts: ScriptRedis) -> None:
    revoke(scripts, "t", 60_000)
    assert revoke(scripts, "t", 30_000) == 1
    assert remembered(scripts)["t"] > 50_000
    revoke(scripts, "t", 120_000)
    assert remembered(scripts)["t"] > 110_000


def test_those_that_have_ended_are_removed(scripts: ScriptRedis) -> None:
    scripts.client.zadd(scripts.keys.revoked_tokens, {"ended": scripts.now() // 1_000 - 1})
    assert revoke(scripts, "t", 60_000) == 1
    assert list(remembered(scripts)) == ["t"]


def test_over_the_limit_those_that_end_first_are_forgotten(scripts: ScriptRedis) -> None:
    assert revoke(scripts, "first", 10_000, "last", 60_000, "second", 20_000, most=2) == 2
    assert list(remembered(scripts)) == ["second", "last"]
