"""The broker and the presence that the settings select."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.metrics import Metrics
from asgi_realtime.presence.base import Presence
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.settings import Settings

if TYPE_CHECKING:
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.presence.redis import RedisPresence


@dataclasses.dataclass(frozen=True, slots=True)
class Backends:
    """What the processes of an application share: one of each kind."""

    broker: Broker
    presence: Presence
    node_channel: NodeChannel | None = None
    """Messages to single processes. None: there is no other process."""


def backends_from(settings: Settings, metrics: Metrics, revocations: Revocations) -> Backends:
    """Make the backends of one process. They do nothing before they are started.

    Args:
        settings: select the backends.
        metrics: counters and gauges.
        revocations: those of this process, which it shares with the others.

    Raises:
        ConfigurationError: for a URL of Redis that cannot be used.
    """
    if settings.redis_url is not None:
        redis = redis_broker(settings.redis_url, settings, metrics, revocations)
        broker: Broker = redis
        if settings.on_broker_down == "local":
            from asgi_realtime.broker.outage_queue import OutageQueue

            # Half the time: what remains is for the local delivery.
            broker = OutageQueue(redis, timeout=settings.publish_timeout / 2, metrics=metrics)
        return Backends(broker=broker, presence=redis_presence(redis, settings), node_channel=redis.node_channel)
    return Backends(
        broker=MemoryBroker(history_size=settings.history_size, history_ttl=settings.history_ttl),
        presence=MemoryPresence(grace=settings.presence_grace),
    )


def redis_broker(url: str, settings: Settings, metrics: Metrics, revocations: Revocations) -> RedisBroker:
    """Make the broker of a process that uses this Redis.

    Raises:
        ConfigurationError: for a URL that cannot be used.
    """
    # Imported here: an application without Redis does not load its client.
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.redis.server import RedisServer

    return RedisBroker(
        RedisServer(url),
        prefix=settings.redis_prefix,
        history_size=settings.history_size,
        history_ttl=settings.history_ttl,
        timeout=settings.publish_timeout,
        revocations=revocations,
        metrics=metrics,
    )


def redis_presence(broker: RedisBroker, settings: Settings) -> RedisPresence:
    """Make the presence of a process that uses Redis, on the broker's connection.

    A process that serves no clients reads from it who is online, without starting it.
    """
    from asgi_realtime.presence.redis import RedisPresence

    return RedisPresence(
        broker.links,
        grace=settings.presence_grace,
        lease=settings.node_lease,
        timeout=settings.publish_timeout / 2,
    )
