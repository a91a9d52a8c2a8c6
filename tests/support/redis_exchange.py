"""Publications, a command and history between two processes, wherever Redis is."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, Target, ToAll, ToRoom, ToUsers
from tests.support.recording_receiver import RecordingReceiver
from tests.support.waiting import until

MEW, INFRA = GatewayName("/"), GatewayName("/infra")
LOBBY = ToRoom(RoomName("lobby"))
BOTH = ToUsers((UserId("ada"), UserId("bob")))


async def exchange(make_server: Callable[[], RedisServer]) -> None:
    """Publish, command and read history from two processes."""
    prefix = f"test-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        brokers, receivers = [], []
        for _ in range(2):
            broker, receiver = RedisBroker(make_server(), prefix=prefix, timeout=5.0), RecordingReceiver()
            await broker.start(receiver)
            stack.push_async_callback(broker.stop)
            targets: list[Target] = [LOBBY, ToAll(), ToUsers((UserId("ada"),)), ToUsers((UserId("bob"),))]
            await broker.subscribe([Subscription(gateway, target) for gateway in (MEW, INFRA) for target in targets])
            await until(lambda broker=broker: broker.ready)  # type: ignore[misc]
            brokers.append(broker)
            receivers.append(receiver)
        start = await brokers[0].position(MEW)
        for number in range(10):
            sender = brokers[number % 2]
            receipt = await sender.publish(Publication(gateway=MEW, target=LOBBY, event=f"room {number}"))
            assert receipt.delivered_locally == 1
            await sender.publish(Publication(gateway=MEW, target=BOTH, event=f"users {number}", volatile=number > 5))
        await brokers[0].publish(Publication(gateway=INFRA, target=ToAll(), event="infra"))
        await brokers[1].command(CloseRoom(MEW, RoomName("lobby")))
        await brokers[0].position(MEW)  # everything published before has been delivered
        of_mew = [each for each in receivers[1].seen if each != "infra"]
        assert of_mew == [f"{kind} {number}" for number in range(10) for kind in ("room", "users")] + ["CloseRoom"]
        assert [each for each in receivers[0].seen if each != "infra"] == of_mew
        history = await brokers[1].history(MEW, start, [LOBBY])
        assert [each.event for each in history] == [f"room {number}" for number in range(10)]
