"""`renew.lua` begins another history, once."""

from __future__ import annotations

from asgi_realtime.redis.keys import COMMANDS
from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def renew(scripts: ScriptRedis, epoch: str, following: str) -> str:
    keys = scripts.keys
    answer: bytes = scripts.run(
        Script.RENEW, [keys.state, keys.last(COMMANDS), keys.history(COMMANDS)], epoch, following
    )
    return answer.decode()


def test_the_first_process_that_notices_begins_the_next_history(scripts: ScriptRedis) -> None:
    keys = scripts.keys
    scripts.client.hset(keys.state, mapping={"epoch": "old", "seq": "7", "command": "5"})
    scripts.client.set(keys.last(COMMANDS), "5")
    scripts.client.xadd(keys.history(COMMANDS), {"d": ""}, id="5-0")
    assert renew(scripts, "old", "new") == "new"
    assert scripts.client.exists(keys.last(COMMANDS), keys.history(COMMANDS)) == 0
    scripts.client.set(keys.last(COMMANDS), "8")
    assert renew(scripts, "old", "other") == "new"
    assert scripts.client.hgetall(keys.state) == {b"epoch": b"new", b"seq": b"7"}
    assert scripts.client.get(keys.last(COMMANDS)) == b"8"
