"""Clients of redis-py that a host passes: what is used of them, and which are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ConstantBackoff
from redis.credentials import CredentialProvider

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.link import LinkLost
from asgi_realtime.redis.server import RedisServer
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_exchange import exchange
from tests.support.redis_places import PASSWORD, USER, RedisPlaces
from tests.support.redis_sentinel import SERVICE, RedisSentinel
from tests.support.redis_server import RedisProcess, free_port, redis_server


@pytest.mark.parametrize("where", ["socket", "tls"])
async def test_a_client_of_one_server(where: str, redis_places: RedisPlaces) -> None:
    place = redis_places(where)
    async with Redis.from_url(place.url, decode_responses=True) as client:
        await exchange(lambda: RedisServer(client=client))
        assert place.denied() == []  # at `tls`, the user has only the rights that docs/operations/redis.md lists


async def test_a_client_of_a_sentinels_master(redis_sentinel_service: RedisSentinel) -> None:
    sentinel = Sentinel([("127.0.0.1", redis_sentinel_service.port)])  # type: ignore[no-untyped-call]
    client = sentinel.master_for(SERVICE)
    await exchange(lambda: RedisServer(client=client))


@pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated usage:DeprecationWarning")
async def test_a_client_of_a_cluster(redis_places: RedisPlaces) -> None:
    place = redis_places("cluster")
    port = int(place.url.rpartition(":")[2])
    client = RedisCluster("127.0.0.1", port, username=USER, password=PASSWORD, read_from_replicas=True)
    await exchange(lambda: RedisServer(client=client))
    assert place.denied() == []


async def test_the_addresses_of_a_cluster_are_mapped_as_the_client_maps_them(
    redis_cluster_processes: RedisClusterProcesses,
) -> None:
    mapped: list[tuple[str, int]] = []

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        mapped.append(address)
        return "localhost", address[1]

    client = RedisCluster("127.0.0.1", redis_cluster_processes.ports[0], address_remap=remap)
    await exchange(lambda: RedisServer(client=client))
    assert {port for _, port in mapped} == set(redis_cluster_processes.ports)


class OneLogin(CredentialProvider):
    """Credentials that are asked for at each connection."""

    def get_credentials(self) -> tuple[str, str]:
        return "ada", "s3cret"


async def say_more(connection: AbstractConnection) -> None:
    """What a host does with each connection, besides logging in."""
    await connection.on_connect()
    await connection.send_command("CLIENT", "NO-EVICT", "ON")
    await connection.read_response()


async def test_what_a_client_says_about_its_connections_is_used() -> None:
    port = free_port()
    with redis_server(("port", str(port))) as server:
        server.add_user("ada", "s3cret", "~*", "&*", "+@all")
        # What the package does in its own way does no harm, and the client goes on as it is.
        replaced: dict[str, Any] = {"socket_timeout": 0.001, "protocol": 2, "health_check_interval": 1}
        replaced |= {"retry": Retry(ConstantBackoff(9.0), 9)}
        client = Redis(
            port=port,
            db=3,
            client_name="orders",
            credential_provider=OneLogin(),
            socket_keepalive_options={},
            redis_connect_func=say_more,
            decode_responses=True,
            **replaced,
        )
        broker = RedisBroker(RedisServer(client=client), prefix="test")
        await broker.start(RecordingReceiver())
        with server.client() as observer:
            [seen] = [each for each in observer.client_list() if each["name"] == "orders"]
            assert (seen["user"], seen["db"], seen["resp"]) == ("ada", "3", "3")
            assert "e" in seen["flags"]  # from CLIENT NO-EVICT
        await broker.stop()
        await exchange(lambda: RedisServer(client=client))
        await client.aclose()


@pytest.mark.parametrize("pool", [ConnectionPool, BlockingConnectionPool])
async def test_a_client_that_is_made_of_a_pool(pool: type[ConnectionPool], redis_process: RedisProcess) -> None:
    async with Redis.from_pool(pool.from_url(redis_process.url, client_name="pooled", max_connections=1)) as client:
        broker = RedisBroker(RedisServer(client=client), prefix="test")
        await client.ping()
        await broker.start(RecordingReceiver())  # it takes no connection out of the pool
        with redis_process.client() as observer:
            assert [each["name"] for each in observer.client_list()].count("pooled") == 2
        await broker.stop()


@asynccontextmanager
async def first_byte() -> AsyncIterator[tuple[int, asyncio.Future[bytes]]]:
    """A port, and the first byte that is sent there. The connection is closed then."""
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.readexactly(1))
        writer.close()

    async with await asyncio.start_server(read, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], received


def sentinels(port: int) -> Any:
    """A client of a service whose Sentinel is asked over TLS."""
    options = {"ssl": True, "password": "s3cret"}
    return Sentinel([("127.0.0.1", port)], sentinel_kwargs=options, **options).master_for(SERVICE)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "make",
    [
        lambda port: Redis(port=port, ssl=True, password="s3cret"),
        lambda port: RedisCluster("127.0.0.1", port, ssl=True, password="s3cret"),
        sentinels,
    ],
    ids=["server", "cluster", "sentinel"],
)
async def test_a_client_with_tls_never_sends_its_password_in_the_clear(make: Callable[[int], Any]) -> None:
    async with first_byte() as (port, received):
        server = RedisServer(client=make(port))
        with pytest.raises(LinkLost):
            await server.connect("{key}", on_message=lambda channel, payload: None, on_lost=lambda link: None)
        assert (await received) == b"\x16"  # a record of TLS: its handshake


class OtherConnection(Connection):
    """Connects in a way of its own, such as to a server that is not there."""


def service(**options: Any) -> Sentinel:
    return Sentinel([("127.0.0.1", 1)], **options)  # type: ignore[no-untyped-call]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "sync": (redis.Redis, r"not redis\.client\.Redis; make a redis\.asyncio\.Redis or"),
    "sync cluster": (
        lambda: redis.RedisCluster.__new__(redis.RedisCluster),
        r"not redis\.cluster\.RedisCluster; make a redis\.asyncio\.Redis or redis\.asyncio\.RedisCluster",
    ),
    "sync sentinel": (
        lambda: redis.Sentinel([("127.0.0.1", 1)]).master_for(SERVICE),  # type: ignore[no-untyped-call]
        r"make a redis\.asyncio\.Redis or",
    ),
    "url": (lambda: "redis://:s3cret@host", r"not text; a URL belongs into MEW_REDIS_URL or Settings\(redis_url="),
    "class": (lambda: Redis, r"not the class Redis; pass an instance: Redis\(\.\.\.\)"),
    "sentinel": (service, r"not a Sentinel; pass what its method master_for\(SERVICE\) returns"),
    "pool": (ConnectionPool, r"not a pool; pass redis\.asyncio\.Redis\(connection_pool="),
    "nothing of redis-py": (object, r"not builtins\.object; write redis\.asyncio\.Redis\(host="),
    "connections of another kind": (
        lambda: Redis.from_pool(ConnectionPool(connection_class=OtherConnection)),
        r"made by tests\.redis\.test_ready_client\.OtherConnection, not by a class of redis\.asyncio; pass a client",
    ),
    "replicas": (lambda: service().slave_for(SERVICE), r"accept no writes; pass Sentinel\.master_for\("),
    "checks of sentinels": (
        lambda: service(min_other_sentinels=1).master_for(SERVICE),
        r"option min_other_sentinels cannot be used; leave it out",
    ),
    "fixed master": (
        lambda: service(force_master_ip="10.0.0.1").master_for(SERVICE),
        r"(option force_master_ip cannot be used; leave it out|cannot be used: .*force_master_ip)",
    ),
    "unknown option": (
        lambda: Redis.from_pool(ConnectionPool(host="localhost", colour="red")),
        r"an option of this client cannot be used: .*colour",
    ),
    "two logins": (
        lambda: Redis(password="s3cret", credential_provider=OneLogin()),
        r"an option of this client cannot be used: .*credential_provider",
    ),
    "value": (
        lambda: Redis(ssl=True, ssl_cert_reqs="perhaps"),
        r"an option of this client cannot be used: .*",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_argument_and_the_remedy(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(ConfigurationError, match=rf"^redis=: .*{message}") as refused:
        RedisServer(client=make(), named="redis=")
    assert "s3cret" not in str(refused.value)
    assert refused.value.__suppress_context__


async def test_a_refusal_of_the_server_names_the_argument_too(
    redis_cluster_processes: RedisClusterProcesses, redis_process: RedisProcess
) -> None:
    async def refusal(client: Redis | RedisCluster) -> str:
        broker = RedisBroker(RedisServer(client=client, named="redis="), prefix="test")
        with pytest.raises(ConfigurationError) as refused:
            await broker.start(RecordingReceiver())
        return str(refused.value)

    login = await refusal(Redis(unix_socket_path=str(redis_process.socket), username="eve", password="s3cret"))
    assert login.startswith("redis=: ") and "refuses the login" in login and "s3cret" not in login
    cluster = await refusal(Redis(port=redis_cluster_processes.ports[0]))
    assert cluster.startswith("redis=: ") and cluster.endswith("or pass a RedisCluster")
    redis_process.add_user("reader", "s3cret", "~*", "&*", "+@all", "-publish")
    rights = await refusal(Redis(unix_socket_path=str(redis_process.socket), username="reader", password="s3cret"))
    assert rights.startswith("redis=: Redis does not permit ") and "docs/operations/redis.md" in rights
