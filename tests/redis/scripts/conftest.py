"""Each script is run on a real Redis, with keys of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Argument
from asgi_realtime.redis.scripts import Script, source
from asgi_realtime.values.ids import GatewayName
from tests.support.redis_server import RedisProcess


class ScriptRedis:
    """Runs scripts, and looks at what they leave.

    Args:
        client: a `redis.Redis`.
        keys: the names of a gateway of this test.
    """

    def __init__(self, client: Any, keys: Keys) -> None:
        self.client = client
        self.keys = keys

    def run(self, script: Script, keys: list[str], *arguments: Argument) -> Any:
        """What a script returns."""
        return self.client.execute_command("EVAL", source(script), len(keys), *keys, *arguments)

    def now(self) -> int:
        """The time of Redis, in microseconds."""
        seconds, microseconds = self.client.execute_command("TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

    def milliseconds_left(self, key: str) -> int:
        """After how many milliseconds a key expires. -1: never, -2: there is none."""
        return int(self.client.execute_command("PTTL", key))


@pytest.fixture
def scripts(redis_process: RedisProcess) -> Iterator[ScriptRedis]:
    """Runs the scripts with keys that no other test has."""
    with redis_process.client() as client:
        yield ScriptRedis(client, Keys(f"test-{secrets.token_hex(4)}", GatewayName("/")))
