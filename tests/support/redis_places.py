"""Every place that Redis can be at, started once for the tests of one process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from redis import RedisCluster

from tests.support.certificates import tls_contexts
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_rights import documented_rules
from tests.support.redis_sentinel import redis_sentinel
from tests.support.redis_server import RedisProcess, free_port, redis_server, valkey_program

LONG: Final = os.environ.get("FAULTS") == "long"
PLACES: Final = ("socket", "valkey", "tls", "sentinel", "cluster")
"""At `tls` and in the cluster, the user has only the permissions of docs/operations/redis.md. Valkey sends a client
its own messages after the reply, as Redis does from 7.2 on."""
LONG_PLACES: Final = PLACES if LONG else PLACES[:1]
"""What tests of a whole application run at: `make test-faults` runs them everywhere."""

USER: Final = "app"
PASSWORD: Final = "s3cret"


class RedisPlace:
    """Servers of Redis, and the URL that names them. Tests use prefixes that begin with `test-`.

    Args:
        url: what `MEW_REDIS_URL` says.
        servers: those that have the data.
        client: makes a client for the test itself, that reaches every key.
    """

    def __init__(self, url: str, servers: Sequence[RedisProcess], client: Callable[[], Any]) -> None:
        self.url = url
        self.client = client
        self._servers = servers

    def kill_connections(self) -> None:
        """Close every connection to the servers."""
        for server in self._servers:
            server.kill_connections()

    def denied(self) -> list[str]:
        """The commands, keys and channels that the user was not permitted to use since the last call."""
        found: list[str] = []
        for server in self._servers:
            with server.client() as client:
                denied = {str(entry["object"]) for entry in client.acl_log()}
                found += denied - {"client|setinfo"}  # optional, and Redis 7.0 does not have it
                client.acl_log_reset()
        return found

    def flush(self) -> None:
        """Remove all data."""
        for server in self._servers:
            with server.client() as client:
                client.flushall()


class RedisPlaces:
    """Starts the servers of a place when it is used first, and stops all at the end of the block."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._started: dict[str, RedisPlace] = {}

    def __enter__(self) -> RedisPlaces:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, name: str) -> RedisPlace:
        """The place of this name."""
        if name not in self._started:
            start = {
                "socket": self._socket,
                "valkey": lambda: self._socket(valkey_program()),
                "tls": self._tls,
                "sentinel": self._sentinel,
                "cluster": self._cluster,
            }
            self._started[name] = start[name]()
        return self._started[name]

    def _socket(self, program: str = "redis-server") -> RedisPlace:
        server = self._stack.enter_context(redis_server(program=program))
        return RedisPlace(server.url, [server], server.client)

    def _tls(self) -> RedisPlace:
        folder, port = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-"))), free_port()
        tls_contexts(folder)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        server = self._stack.enter_context(
            redis_server(
                ("tls-port", str(port)),
                ("tls-cert-file", str(certificate)),
                ("tls-key-file", str(key)),
                ("tls-ca-cert-file", str(certificate)),
                ("tls-auth-clients", "yes"),
            )
        )
        server.add_user(USER, PASSWORD, *documented_rules("test-*"))
        files = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={key}"
        return RedisPlace(f"rediss://{USER}:{PASSWORD}@127.0.0.1:{port}?{files}", [server], server.client)

    def _sentinel(self) -> RedisPlace:
        service = self._stack.enter_context(redis_sentinel())
        master, _ = service.servers
        return RedisPlace(service.url, [master], master.client)

    def _cluster(self) -> RedisPlace:
        cluster = self._stack.enter_context(redis_cluster())
        for master in cluster.masters:
            master.add_user(USER, PASSWORD, *documented_rules("test-*"))
        url = cluster.url.replace("://", f"://{USER}:{PASSWORD}@")
        return RedisPlace(url, cluster.masters, lambda: RedisCluster(host="127.0.0.1", port=cluster.ports[0]))
