"""A Redis Cluster: gateways are on different servers, and their slots move."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from asgi_realtime.broker.outage_queue import OutageQueue
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import TakeOver
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, ToRoom
from tests.support.recording import World
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses, redis_cluster
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

LOBBY = ToRoom(RoomName("lobby"))


async def start(url: str, prefix: str, *gateways: str, timeout: float = 5.0) -> tuple[RedisBroker, RecordingReceiver]:
    broker, receiver = RedisBroker(RedisServer(url), prefix=prefix, timeout=timeout), RecordingReceiver()
    await broker.start(receiver)
    await broker.subscribe([Subscription(GatewayName(gateway), LOBBY) for gateway in gateways])
    return broker, receiver


def news(event: str, gateway: str) -> Publication:
    return Publication(gateway=GatewayName(gateway), target=LOBBY, event=event)


async def test_nothing_is_lost_or_doubled_when_a_slot_moves(redis_cluster_processes: RedisClusterProcesses) -> None:
    cluster, prefix = redis_cluster_processes, f"test-{secrets.token_hex(4)}"
    publisher, own = await start(cluster.url, prefix, "/")
    far, received = await start(cluster.url, prefix, "/")
    state = Keys(prefix, GatewayName("/")).state
    moved = asyncio.Event()
    published: list[str] = []

    async def publish() -> None:
        after = 20
        while after:
            event = str(len(published))
            await publisher.publish(news(event, "/"))
            published.append(event)
            after -= moved.is_set()

    publishing = asyncio.create_task(publish())
    await until(lambda: len(published) > 20)
    for _ in range(3):
        old = cluster.owner(state)
        await asyncio.to_thread(cluster.move, state, (old + 1) % 3)
        done = len(published)
        await until(lambda done=done: len(published) > done + 20)  # type: ignore[misc]
    moved.set()
    await publishing
    await until(lambda: len(received.seen) >= len(published))
    assert received.seen == own.seen == published
    assert received.resyncs == own.resyncs == []
    await publisher.stop()
    await far.stop()


def two_gateways(cluster: RedisClusterProcesses, prefix: str) -> tuple[str, str, RedisProcess]:
    """Gateways on two servers, and the server of the first one, which has nothing that concerns all gateways."""
    owners = {f"/{number}": cluster.owner(Keys(prefix, GatewayName(f"/{number}")).state) for number in range(20)}
    shared = cluster.owner(Keys(prefix, GatewayName("*")).state)
    first = next(gateway for gateway, owner in owners.items() if owner != shared)
    second = next(gateway for gateway, owner in owners.items() if owner != owners[first])
    return first, second, cluster.masters[owners[first]]


async def test_only_the_gateways_of_a_dead_server_are_away() -> None:
    with redis_cluster() as cluster:
        prefix = "test"
        dead, alive, server = two_gateways(cluster, prefix)
        broker, receiver = await start(cluster.url, prefix, dead, alive, timeout=3.0)
        server.kill()
        await until(lambda: not broker.ready)
        await broker.publish(news("to the living", alive))
        with pytest.raises(BrokerUnavailable):
            await broker.publish(news("to the dead", dead))
        server.start()
        await until(lambda: broker.ready)
        await broker.publish(news("back", dead))
        assert receiver.seen == ["to the living", "back"]
        await broker.stop()


async def test_a_server_that_hangs_delays_no_join_of_another_gateway(
    redis_cluster_processes: RedisClusterProcesses,
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    first, second, server = two_gateways(redis_cluster_processes, prefix)
    hanging, alive = GatewayName(first), GatewayName(second)
    broker = RedisBroker(RedisServer(redis_cluster_processes.url), prefix=prefix)
    world = World(gateways=[hanging, alive], broker=broker, broker_timeout=0.5)
    await broker.start(world.hub)
    of_hanging, of_alive = [(await admitted(world, gateway)).public for gateway in (hanging, alive)]
    server.freeze()
    try:
        # Both rooms get their first member in one tick.
        joins = await asyncio.gather(of_hanging.join("lobby"), of_alive.join("lobby"), return_exceptions=True)
        assert isinstance(joins[0], BrokerUnavailable)
        assert joins[1] is None
        assert (await broker.publish(news("to the living", alive))).delivered_locally == 1
    finally:
        server.thaw()
    await until(lambda: broker.ready)
    await of_hanging.join("lobby")
    assert (await broker.publish(news("back", hanging))).delivered_locally == 1
    world.hub.stop()
    await broker.stop()


async def admitted(world: World, gateway: GatewayName) -> InternalConnection:
    """A connection whose subscriptions are confirmed."""
    connection, _ = world.admit_to(gateway)
    async with asyncio.timeout(10):
        subscribing = world.hub.until_subscribed(connection)
        if subscribing is not None:
            await subscribing
    return connection


def take_over(gateway: str) -> TakeOver:
    return TakeOver(
        gateway=GatewayName(gateway),
        user_id=UserId("ada"),
        connection_id=ConnectionId("c"),
        event="bye",
        payload=b"",
        code=1008,
        reason="replaced",
    )


async def test_only_the_gateways_of_a_dead_server_continue_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_cluster(("appendonly", "yes")) as cluster:  # so that the server keeps its history
        prefix, attic = "test", ToRoom(RoomName("attic"))
        dead, alive, server = two_gateways(cluster, prefix)
        other, received = await start(cluster.url, prefix, dead, alive)
        queue = OutageQueue(RedisBroker(RedisServer(cluster.url), prefix=prefix), timeout=3.0)
        here = RecordingReceiver()
        await queue.start(here)
        await queue.subscribe([Subscription(GatewayName(gateway), LOBBY) for gateway in (dead, alive)])
        await until(lambda: queue.ready and other.ready)
        since = await queue.position(GatewayName(alive))
        server.kill()
        await until(lambda: not queue.ready)

        await queue.command(take_over(dead))
        assert not (await queue.publish(news("waits", dead))).replicated
        for event in ("first", "second"):  # the first must not put the second behind what waits
            receipt = await queue.publish(news(event, alive))
            assert receipt.replicated
            assert receipt.position is not None
        await queue.command(take_over(alive))
        await until(lambda: received.seen == ["first", "second", "TakeOver"])
        assert len(queue) == 1
        found = await queue.history(GatewayName(alive), since, [LOBBY])
        assert [each.event for each in found] == ["first", "second"]

        # A room that is subscribed to during the outage gets what is published directly afterwards.
        await queue.subscribe([Subscription(GatewayName(gateway), attic) for gateway in (dead, alive)])
        await other.publish(Publication(gateway=GatewayName(alive), target=attic, event="attic"))
        await until(lambda: "attic" in here.seen)
        assert here.resyncs == []

        monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED_SECONDS", 0.0)
        with pytest.raises(BrokerUnavailable):
            await queue.publish(news("too late", dead))
        assert (await queue.publish(news("third", alive))).replicated

        server.start()
        await until(lambda: len(queue) == 0)
        await until(lambda: received.seen[-1:] == ["waits"])
        assert received.seen == ["first", "second", "TakeOver", "third", "waits"]
        await queue.stop()
        await other.stop()
