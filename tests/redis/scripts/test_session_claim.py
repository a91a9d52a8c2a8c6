"""`session_claim.lua` gives a recovery session to its next owner, once."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_session_save import kept, save


def claim(scripts: ScriptRedis, owner: str, earlier: str) -> bytes | None:
    data: bytes | None = scripts.run(Script.SESSION_CLAIM, [scripts.keys.session("d")], owner, earlier, 30_000)
    return data


def test_a_session_is_claimed_once(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"session")
    assert claim(scripts, "other.1", "node.1") == b"session"
    assert claim(scripts, "third.1", "node.1") is None
    assert claim(scripts, "third.1", "other.1") is None
    assert kept(scripts) == {b"owner": b"other.1", b"open": b"", b"data": b"session"}
    assert 20_000 < scripts.milliseconds_left(scripts.keys.session("d")) <= 30_000


def test_a_call_whose_answer_was_lost_may_be_repeated(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"session")
    assert claim(scripts, "other.1", "node.1") == claim(scripts, "other.1", "node.1") == b"session"
    save(scripts, "other.1", b"new")
    assert claim(scripts, "other.1", "node.1") is None


def test_a_session_that_has_ended_is_not_claimed(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"", open=0)
    assert claim(scripts, "other.1", "node.1") is None


def test_the_new_owner_writes_and_the_earlier_one_does_not(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"session")
    claim(scripts, "other.1", "node.1")
    assert save(scripts, "node.1", b"late") == 0
    assert save(scripts, "other.1", b"new") == 1
    assert claim(scripts, "third.1", "other.1") == b"new"


def test_a_session_of_another_owner_is_not_claimed(scripts: ScriptRedis) -> None:
    save(scripts, "node.2", b"session")
    assert claim(scripts, "other.1", "node.1") is None
    assert kept(scripts)[b"data"] == b"session"


def test_there_is_no_session(scripts: ScriptRedis) -> None:
    assert claim(scripts, "other.1", "node.1") is None
    assert kept(scripts) == {}
