"""The broker and the presence that the settings select."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from asgi_realtime.answers import Answers, MemoryAnswers
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.presence.base import Presence
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.settings import Settings
from asgi_realtime.values.ids import GatewayName

if TYPE_CHECKING:
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.presence.redis import RedisPresence
    from asgi_realtime.redis.ready_client import RedisClient


@dataclasses.dataclass(frozen=True, slots=True)
class Backends:
    """What the processes of an application share: one of each kind."""

    broker: Broker
    presence: Presence
    make_answers: Callable[[GatewayName, Limits], Answers] = lambda gateway, limits: MemoryAnswers(limits)
    """Makes the answers of a gateway."""
    node_channel: NodeChannel | None = None
    """Messages to single processes. None: there is no other process."""
    redis: RedisBroker | None = None
    """Keeps what recovery needs of lost connections. None: there is no other process."""

    forget: Callable[[], object] = lambda: None
    """Called when the app has stopped. Removes what only this process knows: the next start is like a new process."""

    @property
    def many_processes(self) -> bool:
        """Whether other processes may serve clients of the same application."""
        return self.node_channel is not None


def backends_from(
    settings: Settings,
    meter: Meter,
    revocations: Revocations,
    client: RedisClient | None = None,
    *,
    traced: bool = False,
) -> Backends:
    """Make the backends of one process. They do nothing before they are started.

    Args:
        settings: select the backends.
        meter: counts and measures.
        revocations: those of this process, which it shares with the others.
        client: the host's client of Redis, instead of the URL in the settings.
        traced: whether broadcasts carry the trace context of their publisher.

    Raises:
        ConfigurationError: for a URL or a client of Redis that cannot be used, or for both.
    """
    if settings.redis_url is not None or client is not None:
        redis = redis_broker(settings, meter, revocations, client=client, traced=traced)
        broker: Broker = redis
        if settings.on_broker_down == "local":
            from asgi_realtime.broker.outage_queue import OutageQueue

            # Half the time: what remains is for the local delivery.
            broker = OutageQueue(redis, timeout=settings.publish_timeout / 2, meter=meter)
        return Backends(
            broker=broker,
            presence=redis_presence(redis, settings),
            make_answers=functools.partial(_redis_answers, redis, settings),
            node_channel=redis.node_channel,
            redis=redis,
        )
    return _memory_backends(settings, revocations)


def _memory_backends(settings: Settings, revocations: Revocations) -> Backends:
    memory_broker = MemoryBroker(history_size=settings.history_size, history_ttl=settings.history_ttl)
    memory_answers: list[MemoryAnswers] = []

    def make_answers(gateway: GatewayName, limits: Limits) -> MemoryAnswers:
        memory_answers.append(MemoryAnswers(limits))
        return memory_answers[-1]

    def forget() -> None:
        memory_broker.forget()
        revocations.clear()
        for answers in memory_answers:
            answers.clear()

    return Backends(
        broker=memory_broker,
        presence=MemoryPresence(grace=settings.presence_grace),
        make_answers=make_answers,
        forget=forget,
    )


def redis_broker(
    settings: Settings,
    meter: Meter,
    revocations: Revocations,
    *,
    url: str | None = None,
    client: RedisClient | None = None,
    traced: bool = False,
) -> RedisBroker:
    """Make the broker of a process that uses Redis.

    Args:
        settings: name the Redis, unless an argument does.
        meter: counts and measures.
        revocations: those of this process.
        url: the Redis, instead of the one in the settings.
        client: the host's client of the Redis, if no URL names it.
        traced: whether broadcasts carry the trace context of their publisher.

    Raises:
        ConfigurationError: for a URL or a client that cannot be used, for both, or for none.
    """
    if client is not None and (url or settings.redis_url):
        raise ConfigurationError(
            f"redis= and {'redis_url' if url else 'MEW_REDIS_URL'} both say where Redis is; keep one of them"
        )
    # Imported here: an application without Redis does not load its client.
    from asgi_realtime.broker.encoding import PLAIN
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.broker.traced_encoding import TRACED
    from asgi_realtime.redis.server import RedisServer

    if client is not None:
        server = RedisServer(client=client, named="redis=")
    elif url:
        server = RedisServer(url, named="redis_url")
    elif settings.redis_url:
        server = RedisServer(settings.redis_url)
    else:
        raise ConfigurationError(
            "there is no Redis to publish to: pass its URL or a client, or set MEW_REDIS_URL, as in the app that "
            "serves the clients"
        )
    return RedisBroker(
        server,
        prefix=settings.redis_prefix,
        history_size=settings.history_size,
        history_ttl=settings.history_ttl,
        timeout=settings.publish_timeout,
        revocations=revocations,
        meter=meter,
        encoding=TRACED if traced else PLAIN,
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


def _redis_answers(broker: RedisBroker, settings: Settings, gateway: GatewayName, limits: Limits) -> Answers:
    from asgi_realtime.answers.redis import RedisAnswers

    return RedisAnswers(
        broker.links,
        gateway,
        limits,
        timeout=settings.publish_timeout,
        local=settings.on_broker_down == "local",
    )
