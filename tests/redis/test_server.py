"""Every place that Redis can be at: two processes publish to each other through it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, Target, ToAll, ToRoom, ToUsers
from tests.support.certificates import tls_contexts
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_sentinel import SERVICE, RedisSentinel
from tests.support.redis_server import RedisProcess, free_port, redis_server
from tests.support.waiting import until

MEW, INFRA = GatewayName("/"), GatewayName("/infra")
LOBBY = ToRoom(RoomName("lobby"))
BOTH = ToUsers((UserId("ada"), UserId("bob")))
PASSWORD = "s3cret/@:#?%"
ESCAPED = "s3cret%2F%40%3A%23%3F%25"


async def exchange(make_server: Callable[[], RedisServer]) -> None:
    """Publish, command and read history from two processes."""
    prefix = f"test-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        brokers, receivers = [], []
        for _ in range(2):
            broker, receiver = RedisBroker(make_server(), prefix=prefix, timeout=5.0), RecordingReceiver()
            await broker.start(receiver)
            stack.push_async_callback(broker.stop)
            targets: list[Target] = [LOBBY, ToAll(), ToUsers((UserId("ada"),)), ToUsers((UserId("bob"),))]
            await broker.subscribe([Subscription(gateway, target) for gateway in (MEW, INFRA) for target in targets])
            await until(lambda broker=broker: broker.ready)  # type: ignore[misc]
            brokers.append(broker)
            receivers.append(receiver)
        start = await brokers[0].position(MEW)
        for number in range(10):
            sender = brokers[number % 2]
            receipt = await sender.publish(Publication(gateway=MEW, target=LOBBY, event=f"room {number}"))
            assert receipt.delivered_locally == 1
            await sender.publish(Publication(gateway=MEW, target=BOTH, event=f"users {number}", volatile=number > 5))
        await brokers[0].publish(Publication(gateway=INFRA, target=ToAll(), event="infra"))
        await brokers[1].command(CloseRoom(MEW, RoomName("lobby")))
        await brokers[0].position(MEW)  # everything published before has been delivered
        of_mew = [each for each in receivers[1].seen if each != "infra"]
        assert of_mew == [f"{kind} {number}" for number in range(10) for kind in ("room", "users")] + ["CloseRoom"]
        assert [each for each in receivers[0].seen if each != "infra"] == of_mew
        history = await brokers[1].history(MEW, start, [LOBBY])
        assert [each.event for each in history] == [f"room {number}" for number in range(10)]


async def test_a_unix_socket(redis_process: RedisProcess) -> None:
    await exchange(lambda: RedisServer(redis_process.url))


async def test_tcp_with_user_password_and_database() -> None:
    port = free_port()
    with redis_server(("port", str(port))) as server:
        server.add_user("ada", PASSWORD, "~*", "&*", "+@all")
        url = f"redis://ada:{ESCAPED}@127.0.0.1:{port}/3"
        await exchange(lambda: RedisServer(url))
        with server.client() as client:
            assert set(client.info("keyspace")) == {"db3"}


async def test_a_ready_client_gives_its_options_and_is_not_closed() -> None:
    port = free_port()
    with redis_server(("port", str(port))) as server:
        server.add_user("ada", PASSWORD, "~*", "&*", "+@all")
        async with Redis(port=port, username="ada", password=PASSWORD, decode_responses=True) as client:
            await client.set("k", "v")
            await exchange(lambda: RedisServer(client=client))
            assert await client.get("k") == "v"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that demands a client's certificate, without the options of TLS; and the files."""
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    tls_contexts(folder)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    with redis_server(
        ("tls-port", str(port)),
        ("tls-cert-file", str(certificate)),
        ("tls-key-file", str(key)),
        ("tls-ca-cert-file", str(certificate)),
        ("tls-auth-clients", "yes"),
    ):
        yield f"rediss://127.0.0.1:{port}?ssl_certfile={certificate}&ssl_keyfile={key}"


async def test_tls_with_a_client_certificate(tls: str) -> None:
    authority = tls.partition("ssl_certfile=")[2].partition("&")[0]
    await exchange(lambda: RedisServer(f"{tls}&ssl_ca_certs={authority}"))
    await exchange(lambda: RedisServer(f"{tls}&ssl_cert_reqs=none"))


async def test_a_certificate_that_is_not_trusted_fails_the_start(tls: str) -> None:
    broker = RedisBroker(RedisServer(tls))
    with pytest.raises(ConfigurationError, match=r"^MEW_REDIS_URL: the certificate of .*ssl_ca_certs="):
        await broker.start(RecordingReceiver())


async def test_the_master_that_a_sentinel_names(redis_sentinel_service: RedisSentinel) -> None:
    await exchange(lambda: RedisServer(redis_sentinel_service.url))


async def test_a_client_of_a_sentinels_master(redis_sentinel_service: RedisSentinel) -> None:
    sentinel = Sentinel([("127.0.0.1", redis_sentinel_service.port)])  # type: ignore[no-untyped-call]
    client = sentinel.master_for(SERVICE)
    await exchange(lambda: RedisServer(client=client))


async def test_a_cluster(redis_cluster_processes: RedisClusterProcesses) -> None:
    await exchange(lambda: RedisServer(redis_cluster_processes.url))


async def test_a_client_of_a_cluster(redis_cluster_processes: RedisClusterProcesses) -> None:
    client = RedisCluster(host="127.0.0.1", port=redis_cluster_processes.ports[0])
    try:
        await exchange(lambda: RedisServer(client=client))
    finally:
        await client.aclose()


def test_another_kind_of_client_is_refused(tmp_path: Path) -> None:
    import redis

    with pytest.raises(ConfigurationError, match=r"a client of redis\.asyncio is needed"):
        RedisServer(client=redis.Redis())  # type: ignore[arg-type]
