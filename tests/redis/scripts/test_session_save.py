"""`session_save.lua` keeps a recovery session for its owner."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def save(scripts: ScriptRedis, owner: str, data: bytes, *, open: int = 1, milliseconds: int = 60_000) -> int:
    saved: int = scripts.run(Script.SESSION_SAVE, [scripts.keys.session("d")], owner, open, data, milliseconds)
    return saved


def kept(scripts: ScriptRedis) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = scripts.client.hgetall(scripts.keys.session("d"))
    return found


def test_a_session_is_kept_for_its_time(scripts: ScriptRedis) -> None:
    assert save(scripts, "node.1", b"first") == 1
    assert save(scripts, "node.1", b"second", open=0, milliseconds=30_000) == 1
    assert kept(scripts) == {b"owner": b"node.1", b"open": b"0", b"data": b"second"}
    assert 20_000 < scripts.milliseconds_left(scripts.keys.session("d")) <= 30_000


def test_only_the_owner_writes(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"mine")
    assert save(scripts, "other.1", b"not mine") == 0
    assert kept(scripts)[b"data"] == b"mine"


def test_a_session_that_has_ended_keeps_its_owner(scripts: ScriptRedis) -> None:
    save(scripts, "node.1", b"")
    assert save(scripts, "other.1", b"late") == 0
    assert kept(scripts)[b"data"] == b""
