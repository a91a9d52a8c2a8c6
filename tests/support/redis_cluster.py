"""A Redis Cluster of three masters, whose slots can be moved."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from tests.support.redis_server import RedisProcess, free_port, redis_server

SLOTS = 16_384


class RedisClusterProcesses:
    """The servers of a cluster."""

    def __init__(self, masters: Sequence[RedisProcess], ports: Sequence[int]) -> None:
        self.masters = masters
        self.ports = ports
        self.url = f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"

    def owner(self, key: str) -> int:
        """The index of the master that has the slot of a key."""
        slot = key_slot(key.encode())
        with self.masters[0].client() as client:
            for start, end, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS"):
                if start <= slot <= end:
                    return self.ports.index(port)
        raise LookupError(f"no server has slot {slot}")

    def move(self, key: str, to: int) -> None:
        """Move the slot of a key, with everything in it, to another master."""
        slot, source = key_slot(key.encode()), self.owner(key)
        with self.masters[source].client() as old, self.masters[to].client() as new:
            old_id, new_id = (client.execute_command("CLUSTER", "MYID") for client in (old, new))
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
            while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                old.execute_command("MIGRATE", "127.0.0.1", self.ports[to], "", 0, 5_000, "KEYS", *keys)
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id)

    @contextlib.contextmanager
    def replica(self, of: int) -> Iterator[RedisProcess]:
        """A running replica of a master, that has its data. It becomes the master when that one is killed."""
        port = free_port()
        options = {**dict(self.masters[of].options), "port": str(port), "cluster-port": str(free_port())}
        with redis_server(*options.items()) as server, self.masters[of].client() as master:
            with server.client() as replica:
                replica.execute_command(
                    "CLUSTER", "MEET", "127.0.0.1", self.ports[of], dict(self.masters[of].options)["cluster-port"]
                )
                master_id = master.execute_command("CLUSTER", "MYID")
                deadline = time.monotonic() + 20
                while not _follows(replica, master_id):
                    assert time.monotonic() < deadline, "the replica did not join in time"
                    time.sleep(0.02)
                while not all(self._knows(each, master_id, port) for each in self.masters):
                    assert time.monotonic() < deadline, "the replica was not found in time"
                    time.sleep(0.02)
            yield server

    def _knows(self, server: RedisProcess, master_id: object, port: int) -> bool:
        with server.client() as client:
            replicas = client.execute_command("CLUSTER", "REPLICAS", master_id)
        return f":{port}@" in str(replicas)

    def form(self) -> None:
        """Join the servers, and return when each reports a complete cluster."""
        share = SLOTS // len(self.masters)
        for number, master in enumerate(self.masters):
            with master.client() as client:
                first = number * share
                last = SLOTS - 1 if number == len(self.masters) - 1 else first + share - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        with self.masters[0].client() as client:
            for master, port in list(zip(self.masters, self.ports, strict=True))[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", port, dict(master.options)["cluster-port"])
        deadline = time.monotonic() + 20
        while not all(map(self._complete, self.masters)):
            assert time.monotonic() < deadline, "the cluster was not formed in time"
            time.sleep(0.02)

    def _complete(self, master: RedisProcess) -> bool:
        with master.client() as client:
            try:
                masters = {entry[2][1] for entry in client.execute_command("CLUSTER", "SLOTS")}
                state = client.execute_command("CLUSTER", "INFO")
            except redis.RedisError:
                return False
        text = state.decode() if isinstance(state, bytes) else str(state)
        return masters == set(self.ports) and ("cluster_state:ok" in text or "'cluster_state': 'ok'" in text)


def _follows(replica: Any, master_id: object) -> bool:
    """Whether a server has copied the data of its master. It is sent that command once it has found the master."""
    role = replica.execute_command("ROLE")
    if role[0] == b"slave":
        return bool(role[3] == b"connected")
    with contextlib.suppress(redis.ResponseError):
        replica.execute_command("CLUSTER", "REPLICATE", master_id)
    return False


@contextlib.contextmanager
def redis_cluster(*options: tuple[str, str]) -> Iterator[RedisClusterProcesses]:
    """A running cluster of three masters."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, contextlib.ExitStack() as stack:
        masters, ports = [], []
        for number in range(3):
            path = Path(folder) / str(number)
            path.mkdir()
            port = free_port()
            master = RedisProcess(
                path,
                ("port", str(port)),
                ("cluster-enabled", "yes"),
                ("cluster-port", str(free_port())),
                ("cluster-node-timeout", "2000"),
                ("cluster-require-full-coverage", "no"),
                *options,
            )
            master.start()
            stack.callback(master.kill)
            masters.append(master)
            ports.append(port)
        cluster = RedisClusterProcesses(masters, ports)
        cluster.form()
        yield cluster
