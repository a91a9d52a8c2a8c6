"""Which servers can be used, by what they say of themselves."""

from __future__ import annotations

import re

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.hello_reply import check_hello_reply, version_of
from asgi_realtime.redis.link import LinkLost
from asgi_realtime.redis.server import RedisServer
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess


def reply(version: str = "7.0.15", mode: str = "standalone", role: str = "master") -> dict[bytes, object]:
    return {
        b"server": b"redis",
        b"version": version.encode(),
        b"proto": 3,
        b"id": 4,
        b"mode": mode.encode(),
        b"role": role.encode(),
        b"modules": [],
    }


def check(found: dict[bytes, object], *, sharded: bool = False) -> None:
    check_hello_reply(found, address="host:6379", sharded=sharded)


@pytest.mark.parametrize(
    "version", ["6.2.0", "6.2.14", "7.0.15", "7.9.224", "8.2.1", "10.0", "255.255.255", "unstable"]
)
@pytest.mark.parametrize("role", ["master", "primary"])
def test_servers_that_can_be_used(version: str, role: str) -> None:
    check(reply(version, role=role))


@pytest.mark.parametrize(
    ("found", "sharded", "message"),
    [
        (reply("6.0.16"), False, "host:6379 has version 6.0.16; use Redis 6.2 or newer, or Valkey"),
        (reply("5.9"), False, "has version 5.9"),
        (reply("6.2.14", "cluster"), True, "a Redis Cluster must have Redis 7.0 or newer, or Valkey"),
        (reply(mode="sentinel"), False, "redis+sentinel://host:6379/SERVICE"),
        (reply(mode="cluster"), False, "write redis+cluster:// instead of redis://"),
    ],
)
def test_servers_that_cannot_be_used_are_refused_with_the_remedy(
    found: dict[bytes, object], sharded: bool, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(found, sharded=sharded)
    assert message in str(refused.value)


def test_a_replica_may_become_a_master_later() -> None:
    with pytest.raises(LinkLost, match="is a replica"):
        check(reply(role="replica"))


@pytest.mark.parametrize(
    ("text", "version"), [("7", (7, 0)), ("7.2", (7, 2)), ("7.2.1-rc1", (7, 2)), ("", (7, 0)), ("x7.1", (7, 0))]
)
def test_a_version_that_cannot_be_read_counts_as_new(text: str, version: tuple[int, int]) -> None:
    assert version_of(text) == version


async def test_a_server_that_is_too_old_fails_the_start(redis_process: RedisProcess) -> None:
    def older(data: bytes) -> bytes:
        return re.sub(rb"(\r\nversion\r\n)\$\d+\r\n[\d.]+", rb"\g<1>$6\r\n6.0.16", data)

    async with redis_proxy(redis_process.socket, rewrite=older) as proxy:
        broker = RedisBroker(RedisServer(proxy.url), prefix="test")
        with pytest.raises(ConfigurationError, match=r"has version 6\.0\.16; use Redis 6\.2 or newer"):
            await broker.start(RecordingReceiver())
