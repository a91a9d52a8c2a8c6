"""A Redis Cluster: gateways are on different servers, and their slots move."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Publication, Subscription, ToRoom
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_cluster import RedisClusterProcesses, redis_cluster
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


async def test_only_the_gateways_of_a_dead_server_are_away() -> None:
    with redis_cluster() as cluster:
        prefix = "test"
        owners = {f"/{number}": cluster.owner(Keys(prefix, GatewayName(f"/{number}")).state) for number in range(20)}
        shared = cluster.owner(Keys(prefix, GatewayName("*")).state)
        dead = next(gateway for gateway, owner in owners.items() if owner != shared)
        alive = next(gateway for gateway, owner in owners.items() if owner != owners[dead])
        broker, receiver = await start(cluster.url, prefix, dead, alive, timeout=3.0)
        cluster.masters[owners[dead]].kill()
        await until(lambda: not broker.ready)
        await broker.publish(news("to the living", alive))
        with pytest.raises(BrokerUnavailable):
            await broker.publish(news("to the dead", dead))
        cluster.masters[owners[dead]].start()
        await until(lambda: broker.ready)
        await broker.publish(news("back", dead))
        assert receiver.seen == ["to the living", "back"]
        await broker.stop()
