"""What a broadcaster needs in a process that serves no clients: a worker, a cron job, a script."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.backends import redis_broker, redis_presence
from asgi_realtime.broadcasting.gateway_registry import Addressable, GatewayRegistry
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broadcasting.traced_publisher import TracedPublisher
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.metrics import Meter
from asgi_realtime.presence.base import Presence
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing, tracing_from
from asgi_realtime.values.ids import GatewayName

if TYPE_CHECKING:
    from asgi_realtime.broker.base import BrokerReceiver
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.redis.ready_client import RedisClient


@dataclasses.dataclass(frozen=True, slots=True)
class Standalone:
    """The parts of a broadcaster that is connected to Redis."""

    broker: RedisBroker
    publisher: Publisher
    presence: Presence
    gateways: GatewayRegistry
    loop_bridge: LoopBridge


@asynccontextmanager
async def standalone(
    redis_url: str | None,
    redis: RedisClient | None,
    gateways: Sequence[Addressable] | None,
    settings: Settings | None,
    *,
    tracing: Tracing | None = None,
    receiver: BrokerReceiver | None = None,
) -> AsyncIterator[Standalone]:
    """Connect to Redis on the running event loop, until the block ends. See `Broadcaster.connect`.

    `receiver` gets what is subscribed to at the broker. None: nothing will be.
    """
    given: Any = redis_url
    if given is not None and not isinstance(given, str):
        raise ConfigurationError(f"redis_url takes text, not a {type(given).__qualname__}; write redis= for a client")
    settings = Settings.from_env() if settings is None else settings
    registry = registry_of(gateways, settings)
    revocations = Revocations(ttl=settings.revocation_ttl)
    tracing = tracing_from(tracing)
    broker = redis_broker(settings, Meter(), revocations, url=redis_url, client=redis, traced=tracing is not None)
    loop_bridge = LoopBridge()
    publisher = (Publisher if tracing is None else TracedPublisher)(
        broker=broker, gateways=registry, loop_bridge=loop_bridge, publish_timeout=settings.publish_timeout
    )
    if tracing is not None:
        assert isinstance(publisher, TracedPublisher)
        publisher.tracing = tracing
    await broker.start_without_clients(receiver)
    try:
        loop_bridge.bind(asyncio.get_running_loop())
        yield Standalone(broker, publisher, redis_presence(broker, settings), registry, loop_bridge)
    finally:
        loop_bridge.unbind()
        await broker.stop()


def registry_of(gateways: Sequence[Addressable] | None, settings: Settings) -> GatewayRegistry:
    """The gateways of the app that serves the clients. None: one Socket.IO namespace `/`, as in `RealtimeMiddleware`.

    Raises:
        ConfigurationError: for anything that is not a list of gateways.
    """
    registry = GatewayRegistry()
    if gateways is None:
        registry.add(GatewayName("/"), SocketIODialect("/"), settings.limits)
        return registry
    given: Any = gateways
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise ConfigurationError(f"gateways= takes a list, not {given!r}; write gateways=[SocketIOGateway('/')]")
    for number, gateway in enumerate(given):
        if isinstance(gateway, type) or not hasattr(gateway, "add_to_registry"):
            kind = f"the class {gateway.__name__}" if isinstance(gateway, type) else repr(gateway)
            raise ConfigurationError(
                f"gateways=: item {number} is {kind}, not a gateway; write SocketIOGateway('/name') for a Socket.IO "
                "namespace, WebSocketGateway('/path') for a JSON WebSocket, or pass the gateway of the app"
            )
        gateway.add_to_registry(registry, settings.limits)
    return registry
