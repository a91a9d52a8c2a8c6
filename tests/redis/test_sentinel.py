"""A failover by Sentinel: the new master is found, and clients get `realtime:resync` for what was lost."""

from __future__ import annotations

import asyncio

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Publication, Subscription, ToRoom
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_sentinel import redis_sentinel
from tests.support.waiting import until

MEW = GatewayName("/")
LOBBY = ToRoom(RoomName("lobby"))


def news(event: str) -> Publication:
    return Publication(gateway=MEW, target=LOBBY, event=event)


async def start(url: str) -> tuple[RedisBroker, RecordingReceiver]:
    broker, receiver = RedisBroker(RedisServer(url), prefix="test"), RecordingReceiver()
    await broker.start(receiver)
    await broker.subscribe([Subscription(MEW, LOBBY)])
    return broker, receiver


async def publish_until_accepted(broker: RedisBroker, event: str) -> None:
    """Publish with a key, and again while Redis is away."""
    while True:
        try:
            await broker.publish(news(event), key=event)
            return
        except BrokerUnavailable:
            await until(lambda: broker.ready)


async def test_nothing_is_lost_if_the_replica_had_everything() -> None:
    with redis_sentinel() as service:
        one, first = await start(service.url)
        two, second = await start(service.url)
        for number in range(20):
            await one.publish(news(str(number)))
        await asyncio.to_thread(service.servers[0].until_replicated)
        service.servers[0].kill()
        for number in range(20, 40):
            await publish_until_accepted(one, str(number))
        expected = [str(number) for number in range(40)]
        await until(lambda: len(second.seen) >= 40)
        assert first.seen == second.seen == expected
        assert first.resyncs == second.resyncs == []
        await one.stop()
        await two.stop()


async def test_clients_are_told_of_what_the_replica_did_not_have() -> None:
    with redis_sentinel() as service:
        broker, receiver = await start(service.url)
        await broker.publish(news("replicated"))
        await asyncio.to_thread(service.servers[0].until_replicated)
        # From now on the replica gets nothing: it is cut off, and cannot connect again.
        service.servers[1].freeze()
        with service.servers[0].client() as master:
            assert master.execute_command("CLIENT", "KILL", "TYPE", "replica") == 1
        await broker.publish(news("lost"))
        service.servers[0].kill()
        service.servers[1].thaw()
        await publish_until_accepted(broker, "after")
        assert receiver.seen == ["replicated", "lost", "after"]
        [(gateway, subscriptions)] = [each for each in receiver.resyncs if each[0] == MEW]
        assert subscriptions is None or Subscription(MEW, LOBBY) in subscriptions
        await broker.stop()
