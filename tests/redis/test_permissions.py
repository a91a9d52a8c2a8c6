"""What is checked when a process connects to Redis first."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable, ConfigurationError
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.scripts import Script, source
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Publication, ToRoom
from tests.support.paths import ROOT
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_rights import documented_rules
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.waiting import until

NEWS = Publication(gateway=GatewayName("/"), target=ToRoom(RoomName("lobby")), event="news")
OPTIONAL = {"resetchannels", "+info", "+select", "+cluster|slots"}
"""What one server, on database 0, does not need."""
SHARDED = {"+ssubscribe", "+sunsubscribe", "+spublish"}


async def start(url: str, prefix: str = "test") -> RedisBroker:
    broker = RedisBroker(RedisServer(url), prefix=prefix)
    await broker.start(RecordingReceiver())
    return broker


async def start_error(url: str, prefix: str = "test") -> str:
    """Start, which must fail, and return why it failed."""
    broker = RedisBroker(RedisServer(url), prefix=prefix)
    try:
        with pytest.raises(ConfigurationError) as refused:
            await broker.start(RecordingReceiver())
    finally:
        await broker.stop()
    assert str(refused.value).startswith("MEW_REDIS_URL: ")
    return str(refused.value)


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisProcess]:
    """A Redis in which each test has a user of its own."""
    with redis_server() as server:
        yield server


def url_of(server: RedisProcess, user: str, password: str = "s3cret") -> str:
    return f"unix://{user}:{password}@{server.socket}"


@pytest.mark.parametrize("user", ["ada", "unknown"])
async def test_a_wrong_password_fails_the_start_and_is_not_logged(
    guarded: RedisProcess, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded.add_user("ada", "right", "~*", "&*", "+@all")
    message = await start_error(url_of(guarded, user))
    assert "refuses the login" in message
    assert "s3cret" not in message
    assert "s3cret" not in caplog.text
    assert caplog.records == []


async def test_a_missing_password_fails_the_start() -> None:
    with redis_server() as server:
        with server.client() as client:
            client.execute_command("CONFIG", "SET", "requirepass", "s3cret")
        assert "refuses the login" in await start_error(server.url)


async def test_the_documented_user_is_permitted_everything(guarded: RedisProcess) -> None:
    guarded.add_user("app", "s3cret", *documented_rules("test"))
    broker = await start(url_of(guarded, "app"))
    assert broker.ready
    await broker.publish(NEWS)
    await broker.stop()
    assert "does not permit" in await start_error(url_of(guarded, "app"), prefix="other")


@pytest.mark.parametrize("left_out", sorted({*documented_rules("test")} - OPTIONAL - SHARDED))
async def test_a_missing_permission_fails_the_start(guarded: RedisProcess, left_out: str) -> None:
    user = secrets.token_hex(4)
    guarded.add_user(user, "s3cret", *(rule for rule in documented_rules("test") if rule != left_out))
    message = await start_error(url_of(guarded, user))
    assert "docs/operations/redis.md" in message
    assert re.sub(r"\|.*|[+~&]|test:\*", "", left_out) in message.lower()


@pytest.mark.parametrize("left_out", sorted(OPTIONAL | SHARDED))
async def test_what_one_server_does_not_need_may_be_missing(guarded: RedisProcess, left_out: str) -> None:
    user = secrets.token_hex(4)
    guarded.add_user(user, "s3cret", *(rule for rule in documented_rules("test") if rule != left_out))
    broker = await start(url_of(guarded, user))
    assert broker.ready
    await broker.stop()


@pytest.mark.parametrize("left_out", sorted(SHARDED))
async def test_a_cluster_needs_sharded_channels(redis_cluster_processes: RedisClusterProcesses, left_out: str) -> None:
    user = secrets.token_hex(4)
    for master in redis_cluster_processes.masters:
        master.add_user(user, "s3cret", *(rule for rule in documented_rules("test") if rule != left_out))
    url = redis_cluster_processes.url.replace("://", f"://{user}:s3cret@")
    assert left_out.strip("+") in (await start_error(url)).lower()


def test_the_check_runs_every_command_and_the_page_lists_them() -> None:
    used = {name for script in Script if script is not Script.CHECK for name in commands_of(script)} | sent_directly()
    assert used == commands_of(Script.CHECK)
    assert {f"+{name.lower()}" for name in used} <= {*documented_rules("mew")}


def commands_of(script: Script) -> set[str]:
    return set(re.findall(r"(?:redis\.call|run)\('(\w+)'", source(script)))


def sent_directly() -> set[str]:
    """The commands on keys that the package sends without a script."""
    texts = [file.read_text("utf-8") for file in (ROOT / "asgi_realtime").glob("**/*.py")]
    found = {name for text in texts for name in re.findall(r'link\.(?:ask|send)\(\s*(?:\w+,\s+)?"(\w+)"', text)}
    others = {"PING", "SCRIPT", "EVAL", "EVALSHA", "INFO"}
    assert others < found
    return found - others


async def test_the_check_leaves_nothing_behind(redis_process: RedisProcess) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    broker = await start(redis_process.url, prefix)
    await broker.stop()
    with redis_process.client() as client:
        await until(lambda: not client.keys(f"{prefix}:*check*"))
        assert client.keys(f"{prefix}:*") == [Keys(prefix, SHARED).state.encode()]


async def test_a_server_without_resp3_fails_the_start() -> None:
    with redis_server(("rename-command", "HELLO ''")) as server:
        assert "does not speak RESP3" in await start_error(server.url)


async def test_a_server_of_another_kind_fails_the_start(
    redis_cluster_processes: RedisClusterProcesses, redis_sentinel_service: RedisSentinel
) -> None:
    [port, *_] = redis_cluster_processes.ports
    assert "write redis+cluster://" in await start_error(f"redis://127.0.0.1:{port}")
    assert "is a Sentinel" in await start_error(f"redis://127.0.0.1:{redis_sentinel_service.port}")
    master = redis_sentinel_service.ports[0]
    assert "write redis://" in await start_error(f"redis+cluster://127.0.0.1:{master}")


@pytest.mark.parametrize(("policy", "warnings"), [("allkeys-lru", 1), ("volatile-ttl", 1), ("noeviction", 0)])
async def test_eviction_is_warned_of_once(policy: str, warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(("maxmemory", "100mb"), ("maxmemory-policy", policy)) as server:
        broker = await start(server.url)
        server.kill_connections()
        await until(lambda: not broker.ready)
        await until(lambda: broker.ready)
        await broker.stop()
    found = [record for record in caplog.records if "maxmemory-policy" in record.getMessage()]
    assert len(found) == warnings


async def test_an_unreachable_redis_does_not_fail_the_start_and_is_found_later() -> None:
    with redis_server() as server:
        server.kill()
        broker = await start(server.url)
        assert not broker.ready
        with pytest.raises(BrokerUnavailable):
            await broker.publish(NEWS)
        server.start()
        await until(lambda: broker.ready)
        await broker.publish(NEWS)
        await broker.stop()
