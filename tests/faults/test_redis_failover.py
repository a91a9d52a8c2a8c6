"""A replica becomes the master while processes publish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis

from asgi_realtime.broker.position_order import number
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable, PositionLost
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, Subscription, ToRoom
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_sentinel import SERVICE, RedisSentinel, redis_sentinel
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

MEW = GatewayName("/")
LOBBY = ToRoom(RoomName("lobby"))
PREFIX = "test"
EVERY = 0.003
"""Seconds between two publications of a process."""
RECOVERY = 5.0
"""Seconds from when the new master accepts writes until each process publishes again."""

pytestmark = pytest.mark.timeout(120)


class Pair:
    """A master and its replica, and how they change places.

    Args:
        url: what names them.
        master: the master at the start.
        replica: its replica at the start.
        change: makes the replica the master on request.
    """

    def __init__(
        self, url: str, master: RedisProcess, replica: RedisProcess, change: Callable[[], Awaitable[None]]
    ) -> None:
        self.url = url
        self.master = master
        self.replica = replica
        self.change = change

    def changed(self) -> bool:
        """Whether the replica is the master now."""
        with self.replica.client() as client:
            try:
                return bool(client.execute_command("ROLE")[0] == b"master")
            except redis.ConnectionError:
                return False  # a replica that becomes the master closes its connections


@contextlib.contextmanager
def sentinel_pair() -> Iterator[Pair]:
    def fail_over(service: RedisSentinel) -> None:
        with service.client() as client:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE)

    with redis_sentinel() as service:
        yield Pair(service.url, *service.servers, lambda: asyncio.to_thread(fail_over, service))


@contextlib.contextmanager
def cluster_pair() -> Iterator[Pair]:
    def fail_over(replica: RedisProcess) -> None:
        with replica.client() as client:
            client.execute_command("CLUSTER", "FAILOVER")

    with redis_cluster() as cluster:
        owner = cluster.owner(Keys(PREFIX, MEW).state)
        with cluster.replica(owner) as replica:
            cluster.masters[owner].until_replicated(f"{{{MEW}}}")
            yield Pair(cluster.url, cluster.masters[owner], replica, lambda: asyncio.to_thread(fail_over, replica))


PAIRS = {"sentinel": sentinel_pair, "cluster": cluster_pair}


class Process:
    """A broker that publishes numbered events, each until it is accepted, with one key."""

    def __init__(self, url: str, name: str) -> None:
        self.broker = RedisBroker(RedisServer(url), prefix=PREFIX, history_size=100_000)
        self.receiver = RecordingReceiver()
        self.accepted: list[str] = []
        self._name = name
        self._publishing: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        await self.broker.start(self.receiver)
        await self.broker.until_ready(MEW)
        await self.broker.subscribe([Subscription(MEW, LOBBY)])

    def begin(self) -> None:
        """Begin to publish."""
        self._publishing = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while not self._stopping:
            event = f"{self._name}.{len(self.accepted)}"
            with contextlib.suppress(BrokerUnavailable):
                await self.broker.publish(Publication(gateway=MEW, target=LOBBY, event=event), key=event)
                self.accepted.append(event)
            await asyncio.sleep(EVERY)

    async def more(self, count: int) -> None:
        """Wait until this many more events were accepted."""
        wanted = len(self.accepted) + count
        await until(lambda: len(self.accepted) >= wanted, seconds=40)

    async def finish(self) -> None:
        """Publish no more."""
        self._stopping = True
        if self._publishing is not None:
            await self._publishing

    @property
    def is_told(self) -> bool:
        """Whether clients in the room were told that something may be missing."""
        return any(
            gateway == MEW and (subscriptions is None or Subscription(MEW, LOBBY) in subscriptions)
            for gateway, subscriptions in self.receiver.resyncs
        )


@contextlib.asynccontextmanager
async def running(url: str) -> AsyncIterator[list[Process]]:
    """Two processes that publish, and one that only receives."""
    async with contextlib.AsyncExitStack() as stack:
        processes = [Process(url, name) for name in ("one", "two", "listening")]
        for each in processes:
            stack.push_async_callback(each.broker.stop)
            await each.start()
        for each in processes[:2]:
            each.begin()
            stack.push_async_callback(each.finish)
        yield processes


def cut_off(pair: Pair) -> None:
    """Have the replica get nothing more from the master."""
    pair.replica.freeze()
    with pair.master.client() as master:
        assert master.execute_command("CLIENT", "KILL", "TYPE", "replica") == 1


@pytest.mark.parametrize("fault", ["killed", "killed without a replica", "on request"])
@pytest.mark.parametrize("kind", PAIRS)
async def test_nothing_is_doubled_and_only_what_redis_lost_is_lost_in_a_failover(kind: str, fault: str) -> None:
    with PAIRS[kind]() as pair:
        async with running(pair.url) as processes:
            one, two, listening = processes
            start = await one.broker.position(MEW)
            await asyncio.gather(one.more(30), two.more(30))
            if fault == "killed without a replica":
                cut_off(pair)
                await asyncio.gather(one.more(30), two.more(30))
            if fault == "on request":
                await pair.change()
            else:
                pair.master.kill()
            if fault == "killed without a replica":
                pair.replica.thaw()
            await until(pair.changed, seconds=40)
            async with asyncio.timeout(RECOVERY):
                await asyncio.gather(one.more(1), two.more(1))
                await until(lambda: listening.broker.ready)
            await asyncio.gather(one.more(100), two.more(100))
            await asyncio.gather(one.finish(), two.finish())
            if fault == "killed without a replica":
                with pytest.raises(PositionLost):  # what came after it is not complete
                    await one.broker.history(MEW, start, [LOBBY])
                epoch = (await one.broker.position(MEW)).rpartition("-")[0]
                start = Position(f"{epoch}-{number(start)}")
            kept = [each.event for each in await one.broker.history(MEW, start, [LOBBY])]
            lost = {*one.accepted, *two.accepted} - {*kept}
            for each in processes:
                seen = each.receiver.seen
                await until(lambda seen=seen: {*kept[-100:]} <= {*seen})  # type: ignore[misc]
                assert len(seen) == len({*seen})
                assert {*seen} - {*kept} <= lost
                assert each.is_told == bool({*seen} & lost)
                # In order. Clients who are told read again what they show.
                assert [event for event in seen if event in {*kept}] == [
                    event for event in kept if event in {*seen} or not each.is_told
                ]
            if fault == "killed without a replica":
                assert len(lost) >= 50
            elif kind == "cluster" and fault == "on request":
                assert lost == set()
