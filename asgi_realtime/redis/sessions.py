"""The sessions of this process: one for all gateways, or one for each gateway if Redis is a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Metrics
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.node_channel import RedisNodeChannel
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName


class Sessions:
    """Gives the session of a gateway. In a cluster it is made when it is asked for first.

    Args:
        server: where Redis is.
        keys: the names of a gateway in Redis.
        node: the id of this process.
        on_message: called with channel and payload of each message but probes and those to `nodes`.
        nodes: the messages from other processes to this one. None: this process receives none.
        on_link: awaited for each new link of a session before it is used by others. It subscribes again.
        timeout: seconds an outage may last until calls fail at once.
    """

    def __init__(
        self,
        server: RedisServer,
        *,
        keys: Callable[[GatewayName], Keys],
        node: str,
        on_message: Callable[[bytes, bytes], None],
        on_link: Callable[[ReconnectingLink, Link], Awaitable[None]],
        tasks: Tasks,
        metrics: Metrics,
        timeout: float,
        nodes: RedisNodeChannel | None = None,
    ) -> None:
        self._server = server
        self._keys = keys
        self._node = node
        self._on_message = on_message
        self._on_link = on_link
        self._tasks = tasks
        self._metrics = metrics
        self._timeout = timeout
        self._stopped = False
        self._shared = self._make(SHARED, nodes)
        self._by_gateway: dict[GatewayName, ReconnectingLink] = {SHARED: self._shared}

    @property
    def by_gateway(self) -> Mapping[GatewayName, ReconnectingLink]:
        """The sessions that exist."""
        return self._by_gateway

    @property
    def ready(self) -> bool:
        """Whether the links of all sessions are up, and messages arrive."""
        return all(session.ready for session in self._by_gateway.values())

    async def start(self) -> None:
        """Begin to connect; see `ReconnectingLink.start`."""
        await self._shared.start()

    async def stop(self) -> None:
        """Close all links."""
        self._stopped = True
        await asyncio.gather(*(session.stop() for session in self._by_gateway.values()))

    def of(self, gateway: GatewayName) -> ReconnectingLink:
        """The session that has the keys and channels of a gateway.

        Raises:
            BrokerUnavailable: the application has stopped.
        """
        if not self._server.sharded:
            return self._shared
        session = self._by_gateway.get(gateway)
        if session is None:
            if self._stopped:
                raise BrokerUnavailable("the application has stopped")
            session = self._by_gateway[gateway] = self._make(gateway)
            session.begin()
        return session

    def _make(self, gateway: GatewayName, nodes: RedisNodeChannel | None = None) -> ReconnectingLink:
        return ReconnectingLink(
            self._server,
            keys=self._keys(gateway),
            node=self._node,
            on_message=self._on_message,
            on_link=self._on_link,
            tasks=self._tasks,
            metrics=self._metrics,
            timeout=self._timeout,
            nodes=nodes,
        )
