"""Nodes that died are removed on a Redis Cluster, also while one of its servers is away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.presence.redis import RedisPresence
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId
from tests.support.redis_cluster import RedisClusterProcesses, redis_cluster
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

LEASE = 1.5
ADA, BOB = UserId("ada"), UserId("bob")
TAB = ConnectionId("tab")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisClusterProcesses]:
    """A cluster whose servers these tests freeze and kill."""
    with redis_cluster() as running:
        yield running


class Application:
    """Two nodes, and gateways on two servers: the leases are on the server of `near`."""

    def __init__(self, cluster: RedisClusterProcesses) -> None:
        self.prefix = f"test-{secrets.token_hex(4)}"
        names = [GatewayName(f"/{number}") for number in range(50)]
        owners = {name: cluster.owner(Keys(self.prefix, name).state) for name in [*names, SHARED]}
        self.near = next(name for name in names if owners[name] == owners[SHARED])
        others = [name for name in names if owners[name] != owners[SHARED]]
        far_owner = owners[others[0]]
        # More than one, because Redis returns the gateways of a node in any order.
        self.far = [name for name in others if owners[name] == far_owner][:4]
        self.near_server: RedisProcess = cluster.masters[owners[SHARED]]
        self.far_server: RedisProcess = cluster.masters[far_owner]
        self.offline: list[tuple[GatewayName, UserId]] = []
        self.brokers = [RedisBroker(RedisServer(cluster.url), prefix=self.prefix, timeout=5.0) for _ in range(2)]
        self.dead, self.other = [RedisPresence(each.links, grace=0.1, lease=LEASE) for each in self.brokers]

    async def start(self) -> None:
        for broker, presence, user in zip(self.brokers, (self.dead, self.other), (ADA, BOB), strict=True):
            await broker.start_without_clients()
            await presence.start(lambda gateway, user: self.offline.append((gateway, user)))
            for gateway in [self.near, *self.far]:
                await broker.until_ready(gateway)
                await presence.join(gateway, user, TAB)
                await until(lambda: self.is_kept(gateway, user))  # noqa: B023

    def is_kept(self, gateway: GatewayName, user: UserId) -> bool:
        """Whether Redis has a user's connection."""
        server = self.near_server if gateway == self.near else self.far_server
        with server.client() as client:
            return bool(client.hexists(Keys(self.prefix, gateway).connections, user))

    def lease_end(self) -> float:
        """When the lease of the living node ends, in seconds of Redis' clock."""
        with self.near_server.client() as client:
            return float(client.zscore(Keys(self.prefix, SHARED).nodes, self.other.node) or 0) / 1_000_000

    async def stop(self) -> None:
        await self.other.stop()
        for broker in self.brokers:
            await broker.stop()
        await self.dead.stop()


@pytest.fixture
async def application(cluster: RedisClusterProcesses) -> AsyncIterator[Application]:
    running = Application(cluster)
    await running.start()
    yield running
    await running.stop()


async def test_a_frozen_server_delays_neither_the_lease_nor_the_other_servers(application: Application) -> None:
    node = application.other.node
    application.far_server.freeze()
    try:
        await application.brokers[0].stop()
        await until(lambda: application.offline == [(application.near, ADA)])
        ends = application.lease_end()
        await until(lambda: application.lease_end() > ends + LEASE)
        assert application.other.node == node
    finally:
        application.far_server.thaw()
    await until(lambda: len(application.offline) == 1 + len(application.far), seconds=30)
    assert application.other.node == node


async def test_users_go_offline_at_each_server_although_another_one_is_down(application: Application) -> None:
    application.far_server.kill()
    try:
        link = application.brokers[1].links.of(application.far[0])
        await until(lambda: link.current is None)
        await application.brokers[0].stop()
        await until(lambda: application.offline == [(application.near, ADA)])
    finally:
        application.far_server.start()
    await asyncio.wait_for(application.brokers[1].until_ready(application.far[0]), 20)
