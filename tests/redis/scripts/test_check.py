"""`check.lua` returns which command is not permitted."""

from __future__ import annotations

import pytest
import redis

from asgi_realtime.redis.scripts import Script, source
from tests.redis.scripts.conftest import ScriptRedis
from tests.support.redis_server import redis_server
from tests.support.waiting import until


def names(scripts: ScriptRedis) -> list[str]:
    return [scripts.keys.last(kind) for kind in ("string", "hash", "zset", "stream", "set")]


async def test_everything_is_permitted_and_the_keys_expire(scripts: ScriptRedis) -> None:
    assert scripts.run(Script.CHECK, names(scripts), "PUBLISH", scripts.keys.channel("check")) == 0
    await until(lambda: not scripts.client.exists(*names(scripts)))


def test_the_first_command_that_is_not_permitted_is_named() -> None:
    with redis_server() as server:
        server.add_user("app", "s3cret", "~*", "&*", "+@all", "-zscore", "-xadd")
        with redis.Redis(unix_socket_path=str(server.socket), username="app", password="s3cret", protocol=2) as client:
            with pytest.raises(redis.ResponseError, match="ZSCORE"):
                client.execute_command("EVAL", source(Script.CHECK), 5, "a", "b", "c", "d", "e", "PUBLISH", "f")
