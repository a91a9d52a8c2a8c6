"""`presence_online.lua` returns which users are online."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis
from tests.redis.scripts.test_presence_count import results_of


def test_users_are_online_while_they_have_connections_and_within_their_grace_period(scripts: ScriptRedis) -> None:
    names = [scripts.keys.connections, scripts.keys.leaving]
    assert scripts.run(Script.PRESENCE_ONLINE, names) == []
    results_of(scripts, "one", ada=1, bob=1)
    results_of(scripts, "one", bob=0)
    assert sorted(scripts.run(Script.PRESENCE_ONLINE, names)) == [b"", b"ada", b"bob"]
    assert [scripts.run(Script.PRESENCE_ONLINE, names, user) for user in ("ada", "bob", "eve")] == [1, 1, 0]
