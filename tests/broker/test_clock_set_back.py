"""History is whole although the clock of Redis was set back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, ToRoom
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
ROOM = ToRoom(RoomName("room"))
TTL = 0.1


@pytest.fixture
async def broker(redis_process: RedisProcess) -> AsyncIterator[RedisBroker]:
    running = RedisBroker(
        RedisServer(redis_process.url), prefix=f"test-{secrets.token_hex(4)}", history_ttl=TTL, timeout=10.0
    )
    await running.start(NoConnections())
    yield running
    await running.stop()


async def publish(broker: RedisBroker, event: str) -> Position:
    receipt = await broker.publish(Publication(gateway=GATEWAY, target=ROOM, event=event, payload=b"1"))
    assert receipt.position is not None
    return receipt.position


async def test_what_was_published_after_the_clock_went_back_is_not_lost_silently(
    broker: RedisBroker, redis_process: RedisProcess
) -> None:
    state = broker.links.keys(GATEWAY).state
    await publish(broker, "before")
    with redis_process.client() as client:

        def now() -> float:
            seconds, microseconds = client.time()
            return float(seconds) + float(microseconds) / 1_000_000

        # Numbers are ahead of the clock, as after it was set back by a minute.
        client.hset(state, "seq", round((now() + 60) * 1_000_000))
        since = await publish(broker, "first")
        await publish(broker, "second")
        published = now()
        # By then the keys have expired, if they are kept no longer than usual.
        await until(lambda: now() > published + 1.25 * TTL + 1.1)
    await publish(broker, "third")
    found = await broker.history(GATEWAY, since, [ROOM])
    assert [each.event for each in found] == ["second", "third"]
