"""Several presences on one real Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.errors import BrokerUnavailable, RateLimited
from asgi_realtime.presence.redis import RedisPresence
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.waiting import until

MEW = GatewayName("/")
ADA, BOB, EVE = UserId("ada"), UserId("bob"), UserId("eve")
TAB, PHONE = ConnectionId("tab"), ConnectionId("phone")
LEASE = 0.6
GRACE = 0.3
TIMEOUT = 0.3


class Node:
    """A process: a connection to Redis, and its presence."""

    def __init__(self, url: str, prefix: str, *, grace: float, lease: float, announced: list[str]) -> None:
        self.broker = RedisBroker(RedisServer(url, timeout=0.5), prefix=prefix, timeout=5.0)
        self.presence = RedisPresence(self.broker.links, grace=grace, lease=lease, timeout=TIMEOUT)
        self._announced = announced

    async def start(self) -> None:
        await self.broker.start_without_clients()
        await self.presence.start(
            lambda gateway, user_id: self._announced.append(f"-{user_id}"),
            lambda gateway, user_id: self._announced.append(f"+{user_id}"),
        )

    async def join(self, user_id: UserId, connection_id: ConnectionId = TAB, *, limit: int | None = None) -> None:
        if await self.presence.join(MEW, user_id, connection_id, limit=limit):
            self._announced.append(f"+{user_id}")

    async def leave(self, user_id: UserId, connection_id: ConnectionId = TAB) -> None:
        await self.presence.leave(MEW, user_id, connection_id)

    async def online(self) -> set[UserId]:
        return await answer_in_time(1.0, self.presence.online(MEW))

    async def cut_off(self) -> None:
        """Stop using Redis without a stop, as a dead process does."""
        await self.broker.stop()

    async def heal(self) -> None:
        await self.broker.start_without_clients()

    async def stop(self) -> None:
        await self.presence.stop()
        await self.broker.stop()


class Nodes:
    """Processes of one application. `announced` lists the announcements of all in order: `+ada`, `-ada`."""

    def __init__(self, server: RedisProcess) -> None:
        self.server = server
        self.announced: list[str] = []
        self.prefix = f"test-{secrets.token_hex(4)}"
        self._running: list[Node] = []

    async def start(self, *, grace: float = GRACE, lease: float = LEASE, url: str | None = None) -> Node:
        node = Node(url or self.server.url, self.prefix, grace=grace, lease=lease, announced=self.announced)
        self._running.append(node)
        await node.start()
        return node

    async def stop(self) -> None:
        for node in self._running:
            await node.stop()

    async def expect_announced(self, *expected: str) -> None:
        """Wait until exactly these users were announced. Fail if more are announced within lease and grace."""
        await until(lambda: len(self.announced) >= len(expected))
        await asyncio.sleep(LEASE + GRACE)
        assert sorted(self.announced) == sorted(expected)
        self.announced.clear()


@pytest.fixture
async def nodes(redis_process: RedisProcess) -> AsyncIterator[Nodes]:
    running = Nodes(redis_process)
    yield running
    await running.stop()


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """A Redis that the test may freeze, flush and kill."""
    with redis_server() as server:
        yield server


@pytest.fixture
async def fragile(own_redis: RedisProcess) -> AsyncIterator[Nodes]:
    """Nodes on a Redis of their own."""
    running = Nodes(own_redis)
    yield running
    await running.stop()


async def test_a_user_with_tabs_at_several_nodes_comes_and_goes_once(nodes: Nodes) -> None:
    first, second, third = await nodes.start(), await nodes.start(), await nodes.start()
    await first.join(ADA)
    await second.join(ADA)
    await second.join(ADA, PHONE)
    await first.leave(ADA)
    await second.leave(ADA, PHONE)
    await nodes.expect_announced("+ada")
    assert await third.online() == await first.online() == {ADA}
    assert await third.presence.is_online(MEW, ADA)
    await second.leave(ADA)
    assert await third.presence.is_online(MEW, ADA)  # within the grace period
    await nodes.expect_announced("-ada")
    assert not await third.presence.is_online(MEW, ADA)


async def test_reconnecting_to_another_node_within_the_grace_announces_nothing(nodes: Nodes) -> None:
    first, second = await nodes.start(), await nodes.start()
    await first.join(ADA)
    for here, there in [(first, second), (second, first)] * 3:
        await here.leave(ADA)
        await here.online()  # the announcement has arrived
        await there.join(ADA)
    await nodes.expect_announced("+ada")


@pytest.mark.parametrize("grace", [0.0, GRACE])
async def test_the_users_of_a_dead_node_go_offline_once(nodes: Nodes, grace: float) -> None:
    dead, first, _ = await nodes.start(grace=grace), await nodes.start(grace=grace), await nodes.start(grace=grace)
    await dead.join(ADA)
    await dead.join(BOB)
    await first.join(BOB, PHONE)
    await dead.cut_off()
    began = asyncio.get_running_loop().time()
    await until(lambda: "-ada" in nodes.announced)
    assert asyncio.get_running_loop().time() - began < LEASE + grace + 0.3
    await nodes.expect_announced("+ada", "+bob", "-ada")
    assert await first.online() == {BOB}


async def test_a_node_that_was_taken_for_dead_brings_its_users_back_once(nodes: Nodes) -> None:
    cut_off, other = await nodes.start(), await nodes.start()
    for user_id in (ADA, BOB, EVE):
        await cut_off.join(user_id)
    await nodes.expect_announced("+ada", "+bob", "+eve")
    node = cut_off.presence.node
    await cut_off.cut_off()
    await nodes.expect_announced("-ada", "-bob", "-eve")
    await cut_off.leave(EVE)
    await cut_off.heal()
    await nodes.expect_announced("+ada", "+bob")
    assert cut_off.presence.node != node
    assert await other.online() == {ADA, BOB}
    await cut_off.leave(ADA)
    await nodes.expect_announced("-ada")


async def test_a_user_is_announced_offline_although_the_node_that_saw_it_leave_has_died(nodes: Nodes) -> None:
    dead, _, _ = await nodes.start(), await nodes.start(), await nodes.start()
    await dead.join(ADA)
    await dead.leave(ADA)
    await dead.online()  # the announcement has arrived
    await dead.cut_off()
    await nodes.expect_announced("+ada", "-ada")


async def test_a_node_that_stops_hands_its_users_over(nodes: Nodes) -> None:
    stopping, other = await nodes.start(), await nodes.start()
    for user_id in (ADA, BOB, EVE):
        await stopping.join(user_id)
    await other.join(EVE)
    await stopping.leave(BOB)
    await stopping.stop()
    await other.join(ADA)
    await nodes.expect_announced("+ada", "+bob", "+eve", "-bob")
    assert await other.online() == {ADA, EVE}


async def test_users_of_a_process_that_ran_alone_are_announced_by_the_next(nodes: Nodes) -> None:
    stopping = await nodes.start()
    await stopping.join(ADA)
    await stopping.join(BOB)
    await stopping.stop()
    following = await nodes.start()
    await following.join(BOB)
    await nodes.expect_announced("+ada", "+bob", "-ada")
    assert await following.online() == {BOB}


async def test_a_lost_redis_freezes_presence(fragile: Nodes) -> None:
    first, second = await fragile.start(), await fragile.start()
    for number in range(50):
        await first.join(UserId(f"user {number}"))
    await first.join(ADA)
    await second.join(BOB)
    await fragile.expect_announced(*[f"+user {number}" for number in range(50)], "+ada", "+bob")

    fragile.server.freeze()
    await first.join(EVE)
    await second.leave(BOB)
    with pytest.raises(BrokerUnavailable):
        await first.online()
    await asyncio.sleep(2 * LEASE)  # every lease ends
    assert fragile.announced == []
    fragile.server.thaw()

    await fragile.expect_announced("+eve", "-bob")
    assert len(await second.online()) == 52


async def test_a_redis_that_starts_again_without_its_data_gets_everything_back(fragile: Nodes) -> None:
    first, second = await fragile.start(lease=3.0), await fragile.start(lease=3.0)
    await first.join(ADA)
    await second.join(ADA)
    await second.join(BOB)
    await first.join(EVE)
    await fragile.expect_announced("+ada", "+bob", "+eve")
    await first.leave(EVE)
    await first.online()

    fragile.server.kill()
    await first.leave(ADA)
    await first.join(UserId("zoe"))
    await asyncio.sleep(2 * LEASE)
    assert fragile.announced == []
    fragile.server.start()

    await fragile.expect_announced("+zoe", "-eve")
    assert await first.online() == {ADA, BOB, UserId("zoe")}
    await second.leave(ADA)
    await fragile.expect_announced("-ada")


async def test_a_flushed_redis_gets_everything_back(fragile: Nodes) -> None:
    first, second = await fragile.start(lease=3.0), await fragile.start(lease=3.0)
    await first.join(ADA)
    await second.join(ADA)
    await second.join(BOB)
    await first.join(EVE)
    await first.leave(EVE)
    await first.online()
    with fragile.server.client() as client:
        client.flushall()
    await first.leave(ADA)
    await fragile.expect_announced("+ada", "+bob", "+eve", "-eve")
    assert await first.online() == await second.online() == {ADA, BOB}


async def test_forgotten_scripts_are_loaded_again(fragile: Nodes) -> None:
    node = await fragile.start()
    await node.join(ADA)
    with fragile.server.client() as client:
        client.script_flush()
    await node.join(BOB)
    await node.leave(ADA)
    await fragile.expect_announced("+ada", "+bob", "-ada")


async def test_a_dead_node_is_removed_although_redis_has_lost_the_scripts(fragile: Nodes) -> None:
    dead, other = await fragile.start(), await fragile.start()
    await dead.join(ADA)
    await other.join(BOB)
    with fragile.server.client() as client:
        client.script_flush()
    await dead.cut_off()
    await fragile.expect_announced("+ada", "+bob", "-ada")


async def test_a_transition_is_announced_once_although_the_reply_was_lost(fragile: Nodes) -> None:
    first, second = await fragile.start(), await fragile.start()
    await first.join(EVE)
    await fragile.expect_announced("+eve")
    fragile.server.freeze()
    # Redis executes these when it continues, but the connection for the answers is closed.
    joining = asyncio.create_task(first.join(ADA))
    await first.leave(EVE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    link = first.broker.links.of(MEW).current
    assert link is not None
    link.abort()
    await joining
    fragile.server.thaw()
    await fragile.expect_announced("+ada", "-eve")
    assert await second.online() == {ADA}


async def test_users_at_once_have_exactly_as_many_connections_as_the_limit(nodes: Nodes) -> None:
    running = [await nodes.start() for _ in range(3)]

    async def join(number: int) -> int:
        try:
            await running[number % 3].join(ADA, ConnectionId(str(number)), limit=5)
        except RateLimited:
            return 0
        return 1

    for _ in range(3):
        assert sum(await asyncio.gather(*map(join, range(30)))) == 5
        for number in range(30):
            await running[number % 3].leave(ADA, ConnectionId(str(number)))
        for node in running:
            await node.online()  # the announcements have arrived


async def test_the_limit_is_exact_again_after_a_node_has_died(nodes: Nodes) -> None:
    dead, other = await nodes.start(), await nodes.start()
    await dead.join(ADA, limit=2)
    await other.join(ADA, limit=2)
    with pytest.raises(RateLimited):
        await other.join(ADA, PHONE, limit=2)
    await dead.cut_off()
    await asyncio.sleep(LEASE + 0.3)
    await other.join(ADA, PHONE, limit=2)
    with pytest.raises(RateLimited):
        await other.join(ADA, ConnectionId("tablet"), limit=2)


async def test_a_thousand_users_of_a_dead_node_are_all_removed(nodes: Nodes) -> None:
    # So many joins at once must not delay the renewal of a lease for longer than it lasts, also on a busy machine.
    dead, other = await nodes.start(lease=2.0), await nodes.start(lease=2.0)
    users = [UserId(f"user {number}") for number in range(1_300)]
    await asyncio.gather(*map(dead.join, users))
    await nodes.expect_announced(*[f"+{user}" for user in users])
    await dead.cut_off()
    await nodes.expect_announced(*[f"-{user}" for user in users])
    assert await other.online() == set()
    await dead.heal()
    await nodes.expect_announced(*[f"+{user}" for user in users])
    assert await other.online() == set(users)


async def test_an_idle_node_costs_one_command_for_each_renewal(fragile: Nodes) -> None:
    first, second = await fragile.start(), await fragile.start()
    for number in range(100):
        await first.join(UserId(f"user {number}"))
    await asyncio.sleep(LEASE)

    def commands() -> int:
        with fragile.server.client() as client:
            return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = commands()
    await asyncio.sleep(5 * LEASE)
    # Three renewals per lease and node.
    assert 10 <= commands() - before <= 2 * 3 * 5 + 2
    assert second.presence.node != first.presence.node


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[RedisProxy]:
    async with redis_proxy(redis_process.socket) as running:
        yield running


async def until_taken(nodes: Nodes) -> None:
    """Wait until a node has taken a user who is to be announced as offline."""
    with nodes.server.client() as client:
        await until(lambda: client.zcard(f"{nodes.prefix}:{{/}}:g") == 1)
        await until(lambda: client.zcard(f"{nodes.prefix}:{{/}}:g") == 0)


async def test_a_user_goes_offline_once_if_the_reply_is_lost(nodes: Nodes, proxy: RedisProxy) -> None:
    far = await nodes.start(url=proxy.url, grace=0.5, lease=3.0)
    await far.join(ADA)
    await far.join(BOB)
    await far.leave(ADA)
    await far.online()  # Redis has answered that the grace period has begun
    proxy.hold()
    await until_taken(nodes)
    proxy.cut()
    await nodes.expect_announced("+ada", "+bob", "-ada")
    await far.leave(BOB)
    await nodes.expect_announced("-bob")
    with nodes.server.client() as client:
        assert client.hlen(f"{nodes.prefix}:{{/}}:t") == 0


async def test_another_node_announces_the_users_that_a_dead_one_took(nodes: Nodes, proxy: RedisProxy) -> None:
    await nodes.start()
    far = await nodes.start(url=proxy.url, grace=0.5, lease=30.0)
    await far.join(ADA)
    await far.leave(ADA)
    await far.online()  # Redis has answered that the grace period has begun
    proxy.hold()
    await until_taken(nodes)
    proxy.refusing = True
    proxy.cut()
    with nodes.server.client() as client:
        client.zadd(f"{nodes.prefix}:{{*}}:nodes", {far.presence.node: 1})  # its lease ends
    await nodes.expect_announced("+ada", "-ada")
    proxy.refusing = False
    await until(lambda: far.broker.ready)
    await nodes.expect_announced()
