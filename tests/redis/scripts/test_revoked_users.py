"""`revoked_users.lua` reads revoked users page by page."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_revoke_users import revoke


def revoked(scripts: ScriptRedis, skip: int, count: int) -> tuple[int, list[tuple[str, float]]]:
    number, *page = scripts.run(Script.REVOKED_USERS, [scripts.keys.revoked_users], skip, count)
    return number, [(user.decode(), float(time)) for user, time in zip(page[::2], page[1::2], strict=True)]


def test_pages_begin_with_the_latest(scripts: ScriptRedis) -> None:
    assert revoked(scripts, 0, 10) == (0, [])
    revoke(scripts, "ann", "1764496800.123456", "bob", "1764496802.5", "eve", "1764496801.5")
    assert revoked(scripts, 0, 2) == (3, [("bob", 1764496802.5), ("eve", 1764496801.5)])
    assert revoked(scripts, 2, 2) == (3, [("ann", 1764496800.123456)])


def test_their_number_can_be_read_alone(scripts: ScriptRedis) -> None:
    revoke(scripts, "ann", "1.5", "bob", "3.5")
    assert revoked(scripts, 0, 0) == (2, [])
