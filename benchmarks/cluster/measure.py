"""Measures one system in one round."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cluster.client import Client
from benchmarks.cluster.node import Node
from benchmarks.cluster.publisher import Publisher
from benchmarks.cluster.redis_server import RedisServer, redis_server
from benchmarks.cluster.results import ClusterPlan
from benchmarks.cluster.systems import OTHER_ROOM, ROOM, JoinedSystem
from benchmarks.plan import Figures

TOGETHER = 16
_FIRST_SECONDS = 0.2
_SETTLING = 1.0
"""Seconds after its start in which a process may still be busy with it."""
_FIRST_MESSAGES = 100


class Cluster:
    """A Redis, a process that publishes, and processes with one client each in the room."""

    def __init__(self, system: JoinedSystem, plan: ClusterPlan, server: RedisServer, log: Path) -> None:
        self._system = system
        self._plan = plan
        self._redis = server
        self._log = log
        self._stack = contextlib.ExitStack()
        self._receivers: list[Node] = []
        self._clients: list[Client] = []

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._publishing = self._start(ROOM)
            self._publishing.await_start()
            self._publisher = Publisher(self._publishing.port, self._system.dialect)
            stack.callback(self._publisher.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self, room: str) -> Node:
        node = Node(self._system, self._redis.url, room, self._log)
        self._stack.callback(node.stop)
        return node

    def _client(self, node: Node, room: str) -> Client:
        client = Client(node.port, self._system.dialect, room, self._system.ordered)
        self._stack.callback(client.close)
        return client

    def grow(self, size: int) -> None:
        """Start processes with one client each, until there are so many processes with the publishing one."""
        self._publisher.close()
        started = [self._start(ROOM) for _ in range(size - 1 - len(self._receivers))]
        for node in started:
            node.await_start()
            self._clients.append(self._client(node, ROOM))
        self._receivers += started
        self._await_subscriptions()
        self._publish(self._plan.publications, TOGETHER)  # Node compiles what runs often

    def _await_subscriptions(self) -> None:
        """Publish until each client receives it: the peers do not say when a process is subscribed."""
        for _ in range(_FIRST_MESSAGES):
            self._publisher.publish(1, 1)
            if all(client.has(self._publisher.last, _FIRST_SECONDS) for client in self._clients):
                return
        self._clients[-1].wait(self._publisher.last)

    def _publish(self, count: int, together: int) -> None:
        """Publish, and return when every client has received everything."""
        self._publisher.publish(count, together)
        for client in self._clients:
            client.wait(self._publisher.last)

    def _accounted(self, name: str, count: int, work: Callable[[], object]) -> Figures:
        """Microseconds of processor time for a publication while this is done."""
        nodes = [self._publishing, *self._receivers]
        before, before_redis = [node.cpu() for node in nodes], self._redis.cpu()
        work()
        publisher, *receivers = [(node.cpu() - was) / count * 1e6 for node, was in zip(nodes, before, strict=True)]
        return {
            f"{name}: publisher": publisher,
            f"{name}: receiver": statistics.mean(receivers),
            f"{name}: Redis": (self._redis.cpu() - before_redis) / count * 1e6,
        }

    def publications(self, name: str, together: int) -> Figures:
        """Publications as fast as they are accepted, so many at a time."""
        count = self._plan.publications
        commands = self._redis.commands()
        figures = self._accounted(name, count, lambda: self._publish(count, together))
        return figures | {f"{name}: commands": (self._redis.commands() - commands) / count}

    def paced(self) -> Figures:
        """A thousand publications per second, each by a request of its own. The time until the client has each."""
        count, sent = self._plan.paced, dict[int, float]()
        begun = time.perf_counter()

        def work() -> None:
            for each in range(count):
                time.sleep(max(0.0, begun + each / 1_000 - time.perf_counter()))
                now = time.perf_counter()
                self._publisher.publish(1, 1)
                sent[self._publisher.last] = now
            self._clients[0].wait(self._publisher.last)

        figures = self._accounted("paced", count, work)
        delays = sorted((self._clients[0].arrived[number] - at) * 1e3 for number, at in sent.items())
        rate = (count - 1) / (max(sent.values()) - min(sent.values()))
        return figures | {"p50": statistics.median(delays), "p99": delays[int(count * 0.99)], "rate": rate}

    def without_members(self) -> Figures:
        """What publications cost a process whose only client is in another room."""
        node = self._start(OTHER_ROOM)
        node.await_start()
        with contextlib.closing(self._client(node, OTHER_ROOM)) as client:
            time.sleep(_SETTLING)
            self._publisher.close()
            count, pids = self._plan.publications, node.pids()
            received, cpu, begun = self._redis.bytes_received(pids), node.cpu(), time.monotonic()
            self._publish(count, TOGETHER)
            seconds = time.monotonic() - begun
            used, now = node.cpu() - cpu, self._redis.bytes_received(pids)
            time.sleep(seconds)  # what it costs in the same time without publications is taken off
            idle = node.cpu() - cpu - used
            assert client.arrived == {}
        node.stop()
        figures = {"elsewhere: processor": (used - idle) / count * 1e6}
        return figures if now is None or received is None else figures | {"elsewhere: bytes": (now - received) / count}

    def idle(self) -> Figures:
        """Commands per second that each process sends to Redis while nothing happens."""
        before = self._redis.commands()
        time.sleep(self._plan.idle_seconds)
        return {"idle: commands": (self._redis.commands() - before) / self._plan.idle_seconds / self._plan.sizes[-1]}


def measure(system: JoinedSystem, plan: ClusterPlan, folder: Path, first: bool) -> Figures:
    """The figures of one system in one round.

    Raises:
        BrokenRun: if a process did not start, or a client did not receive every message once and in order.
    """
    with redis_server(folder) as server, Cluster(system, plan, server, folder / "servers.log") as cluster:
        cluster.grow(plan.sizes[0])
        figures = cluster.publications("one", 1) | cluster.publications("burst", TOGETHER) | cluster.paced()
        figures |= cluster.without_members()
        for size in plan.sizes[1:]:
            cluster.grow(size)
            figures |= cluster.publications(f"{size} nodes", TOGETHER)
        if first and plan.idle_seconds:
            figures |= cluster.idle()
        return figures
