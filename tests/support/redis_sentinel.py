"""A master, its replica, and a Sentinel that makes the replica the master when the master is killed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.support.redis_server import RedisProcess, free_port

SERVICE = "main"


class RedisSentinel:
    """Two servers and the Sentinel that watches them.

    Args:
        servers: the first is the master at the start.
        ports: theirs.
        port: the Sentinel's.
    """

    def __init__(self, servers: tuple[RedisProcess, RedisProcess], ports: tuple[int, int], port: int) -> None:
        self.servers = servers
        self.ports = ports
        self.port = port
        self.url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/{SERVICE}"
        """It names a Sentinel that is not there too."""

    def client(self) -> redis.Redis:
        """A client of the Sentinel."""
        return redis.Redis(port=self.port, socket_timeout=10)

    def begin(self) -> None:
        """Have the replica follow, and the Sentinel watch, and return when the Sentinel has found both."""
        with self.servers[1].client() as replica:
            replica.execute_command("REPLICAOF", "127.0.0.1", self.ports[0])
        with self.client() as sentinel:
            deadline = time.monotonic() + 20
            while not self._answers(sentinel):
                assert time.monotonic() < deadline, "the Sentinel did not start in time"
                time.sleep(0.02)
            sentinel.execute_command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", self.ports[0], 1)
            for name, value in (("down-after-milliseconds", 500), ("failover-timeout", 3_000)):
                sentinel.execute_command("SENTINEL", "SET", SERVICE, name, value)
            # The Sentinel gets the replica from the master, every 10 s or when the master's role changes.
            while len(sentinel.execute_command("SENTINEL", "REPLICAS", SERVICE)) != 1:
                assert time.monotonic() < deadline, "the Sentinel did not find the replica in time"
                time.sleep(0.02)

    def _answers(self, sentinel: redis.Redis) -> bool:
        try:
            return bool(sentinel.ping())
        except redis.RedisError:
            return False


@contextlib.contextmanager
def redis_sentinel() -> Iterator[RedisSentinel]:
    """A running Sentinel with its two servers."""
    program = shutil.which("redis-server")
    assert program is not None, "the tests need redis-server: install Debian's package redis-server"
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, contextlib.ExitStack() as stack:
        ports = free_port(), free_port()
        servers = []
        for number, port in enumerate(ports):
            path = Path(folder) / str(number)
            path.mkdir()
            server = RedisProcess(path, ("port", str(port)), ("repl-diskless-sync-delay", "0"))
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        sentinel = RedisSentinel((servers[0], servers[1]), ports, free_port())
        configuration = Path(folder) / "sentinel.conf"
        configuration.write_text(f"port {sentinel.port}\nbind 127.0.0.1\ndir {folder}\n")
        with (Path(folder) / "sentinel.log").open("ab") as log:
            process = subprocess.Popen([program, str(configuration), "--sentinel"], stdout=log, stderr=log)
        try:
            sentinel.begin()
            servers[0].until_replicated()
            yield sentinel
        finally:
            process.kill()
            process.wait()
