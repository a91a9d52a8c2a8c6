"""`once_keep.lua` keeps the answer to an event that was claimed, or ends the claim."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_once_claim import CLAIM_TTL, TTL, claim, make_older, names


def keep(
    scripts: ScriptRedis, event: str, call: str, answer: bytes, *, most: int = 100, most_bytes: int = 1_000
) -> object:
    arguments: list[str | bytes | int] = [event, call, b"a" + answer, TTL, CLAIM_TTL, most, most_bytes]
    return scripts.run(Script.ONCE_KEEP, names(scripts), *arguments)


def kept(scripts: ScriptRedis) -> list[str]:
    return [event.decode() for event in scripts.client.zrange(names(scripts)[1], 0, -1)]


def test_the_first_answer_is_kept_also_without_a_valid_claim(scripts: ScriptRedis) -> None:
    assert keep(scripts, "1:a", "c-one", b"the claim is gone") == 1
    assert claim(scripts, "1:a", "c-two") == [1, b"the claim is gone"]
    claim(scripts, "1:b", "c-one")
    make_older(scripts, "1:b", CLAIM_TTL)
    claim(scripts, "1:b", "c-two")
    assert keep(scripts, "1:b", "c-one", b"late, but the first") == 1
    assert keep(scripts, "1:b", "c-one", b"again, because the reply was lost") == 0
    assert keep(scripts, "1:b", "c-two", b"the second") == 0
    assert claim(scripts, "1:b", "c-three") == [1, b"late, but the first"]


def test_a_claim_that_is_ended_leaves_nothing(scripts: ScriptRedis) -> None:
    claim(scripts, "1:a", "c-one")
    assert scripts.run(Script.ONCE_KEEP, names(scripts), "1:a", "c-two") == 0
    assert claim(scripts, "1:a", "c-two") == [2]
    assert scripts.run(Script.ONCE_KEEP, names(scripts), "1:a", "c-one") == 1
    assert scripts.client.exists(*names(scripts)) == 0


def test_too_many_and_too_old_answers_are_removed_and_the_bytes_are_counted(scripts: ScriptRedis) -> None:
    for number in range(4):
        claim(scripts, f"1:{number}", "c")
        keep(scripts, f"1:{number}", "c", b"x" * 9, most=3)
    assert kept(scripts) == ["1:1", "1:2", "1:3"]
    assert scripts.client.hget(names(scripts)[0], "") == b"30"
    make_older(scripts, "1:1", TTL)
    claim(scripts, "1:4", "c")
    keep(scripts, "1:4", "c", b"x" * 9, most_bytes=25)
    assert kept(scripts) == ["1:3", "1:4"]
    claim(scripts, "1:5", "c")
    keep(scripts, "1:5", "c", b"x" * 999, most_bytes=25)
    assert kept(scripts) == ["1:5"], "the newest is always kept"
    assert scripts.client.hget(names(scripts)[0], "") == b"1000"
    assert all(100_000 < scripts.client.pttl(name) <= 120_000 for name in names(scripts))


def test_valid_claims_are_not_removed(scripts: ScriptRedis) -> None:
    for event in ("1:a", "1:b", "1:c"):
        claim(scripts, event, "c-one")
    make_older(scripts, "1:b", CLAIM_TTL)
    for number in range(3):
        keep(scripts, f"1:{number}", "c", b"", most=3)
    assert set(kept(scripts)) == {"1:a", "1:c", "1:2"}
    assert [claim(scripts, event, "c-two") for event in ("1:a", "1:b", "1:c")] == [[2], [0], [2]]
