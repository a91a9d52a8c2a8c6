"""Every place that Redis can be at: two processes publish to each other through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.server import RedisServer
from tests.support.certificates import tls_contexts
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_exchange import exchange
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisProcess, free_port, redis_server

PASSWORD = "s3cret/@:#?%"
ESCAPED = "s3cret%2F%40%3A%23%3F%25"


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


async def test_a_cluster(redis_cluster_processes: RedisClusterProcesses) -> None:
    await exchange(lambda: RedisServer(redis_cluster_processes.url))
