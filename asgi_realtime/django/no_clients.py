"""A broadcaster whose events reach no client, for a process that serves none and has no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.gateway_registry import Addressable
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broadcasting.standalone import registry_of
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.settings import Settings


async def broadcaster_without_clients(gateways: Sequence[Addressable], settings: Settings) -> Broadcaster:
    """Make one for the running event loop. It checks what is sent, keeps nothing, and needs no end."""
    registry = registry_of(gateways, settings)
    broker = MemoryBroker(history_size=1, history_bytes=1, keys=1)
    loop_bridge = LoopBridge()
    await broker.start(NoConnections())
    loop_bridge.bind(asyncio.get_running_loop())
    return Broadcaster(
        publisher=Publisher(
            broker=broker, gateways=registry, loop_bridge=loop_bridge, publish_timeout=settings.publish_timeout
        ),
        presence=MemoryPresence(),
        gateways=registry,
        loop_bridge=loop_bridge,
        gateway=registry.first,
    )


@asynccontextmanager
async def without_clients(gateways: Sequence[Addressable], settings: Settings) -> AsyncIterator[Broadcaster]:
    """The same until the block ends."""
    yield await broadcaster_without_clients(gateways, settings)
