"""The links of this process to Redis: one for all gateways, or one for each gateway if Redis is a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName

NODE_BYTES: Final = 6
"""Random bytes in the id of a process: 8 characters."""

Prepare = Callable[[ReconnectingLink, Link], Awaitable[None]]
"""Makes a new link ready."""
OwnChannels = Mapping[str, Callable[[bytes], None]]
"""What is called with each message on a channel of this process itself, by kind. They are always subscribed to."""


class GatewayLinks:
    """Gives the link of a gateway. The broker opens and closes them; presence uses the same ones.

    In a cluster, the link of a gateway is made at its first use.

    Args:
        server: where Redis is.
        prefix: what every key and channel begins with.
        timeout: seconds an outage may last until calls fail at once.
    """

    def __init__(self, server: RedisServer, *, prefix: str, timeout: float, meter: Meter) -> None:
        self.node = ""
        """The id of this process, made by `open`. Empty before that: this process may be forked."""
        self.publish_command = server.publish_command
        """The command that publishes; see `RedisServer`."""
        self._server = server
        self._prefix = prefix
        self._timeout = timeout
        self._meter = meter
        self._keys: dict[GatewayName, Keys] = {}
        self._prepare: list[Prepare] = []
        self._links: dict[GatewayName, ReconnectingLink] = {}
        self._open = False

    def keys(self, gateway: GatewayName) -> Keys:
        """The names of a gateway in Redis."""
        keys = self._keys.get(gateway)
        if keys is None:
            keys = self._keys[gateway] = Keys(self._prefix, gateway)
        return keys

    def own_channel(self, kind: str, node: str) -> str:
        """The channel of a process, by its id, for messages of a kind."""
        return self.keys(SHARED).channel(f"{kind}:{node}")

    def open(
        self,
        *,
        on_message: Callable[[bytes, bytes], None],
        own: OwnChannels,
        on_up: Callable[[ReconnectingLink, Link], None],
        on_lost: Callable[[], None],
        tasks: Tasks,
    ) -> None:
        """Give this process an id, and make the first link. It does not connect yet.

        Args:
            on_message: called with channel and payload of each message but probes and those of `own`.
            own: the channels of this process, on the link of `SHARED`.
            on_up: called with each link that is `current` from now on.
            on_lost: called when that link was lost.
            tasks: own the tasks of the links.
        """
        self._on_message = on_message
        self._on_up = on_up
        self._tasks = tasks
        self._open = True
        # Not in the constructor: servers that load the app before they fork would give all workers the same id.
        self.node = secrets.token_urlsafe(NODE_BYTES)
        self._links = {SHARED: self._make(SHARED, own, on_lost)}

    async def start(self) -> None:
        """Begin to connect; see `ReconnectingLink.start`."""
        await self._links[SHARED].start()

    async def close(self) -> None:
        """Close all links."""
        self._open = False
        for link in self._links.values():
            link.end_calls()  # now, because a link that is being prepared fails from here on
        await asyncio.gather(*(link.stop() for link in self._links.values()))

    @property
    def ready(self) -> bool:
        """Whether all links are up, and messages arrive."""
        return self._open and all(link.ready for link in self._links.values())

    def is_away(self, gateway: GatewayName) -> bool:
        """Whether the link of a gateway is not up. A link that is made at its first use is not away before that."""
        link = self._links.get(self.link_name(gateway))
        return link is not None and not link.ready

    def of(self, gateway: GatewayName) -> ReconnectingLink:
        """The link to the server that has the keys and channels of a gateway.

        Raises:
            BrokerUnavailable: the application has not started yet, or has stopped.
        """
        if not self._open:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        if not self._server.sharded:
            return self._links[SHARED]
        link = self._links.get(gateway)
        if link is None:
            link = self._links[gateway] = self._make(gateway, {}, lambda: None)
            link.begin()
        return link

    def link_name(self, gateway: GatewayName) -> GatewayName:
        """Names the link of a gateway: two gateways have the same link if their names are equal. `of` takes it too."""
        return gateway if self._server.sharded else SHARED

    def current(self) -> Link | None:
        """The link for what concerns all gateways. None: it is not up."""
        return self._links[SHARED].current if self._open else None

    @contextlib.contextmanager
    def preparing(self, prepare: Prepare) -> Iterator[None]:
        """Within the block, `prepare` is awaited for each new link, before the link is `current`.

        If it raises, the link is given up.
        """
        self._prepare.append(prepare)
        try:
            yield
        finally:
            self._prepare.remove(prepare)

    async def _prepare_link(self, reconnecting: ReconnectingLink, link: Link) -> None:
        for prepare in list(self._prepare):
            await prepare(reconnecting, link)

    def _make(self, gateway: GatewayName, own: OwnChannels, on_lost: Callable[[], None]) -> ReconnectingLink:
        return ReconnectingLink(
            self._server,
            keys=self.keys(gateway),
            node=self.node,
            on_message=self._on_message,
            on_link=self._prepare_link,
            own={self.own_channel(kind, self.node).encode(): receive for kind, receive in own.items()},
            on_up=self._on_up,
            on_lost=on_lost,
            tasks=self._tasks,
            meter=self._meter,
            timeout=self._timeout,
        )
