"""Removes what nodes that have stopped or died wrote to Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import hiredis

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.presence.redis_gateway import RedisGateway
from asgi_realtime.redis.link import Link, LinkLost
from asgi_realtime.redis.node_lease import NodeLease
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName

logger = logging.getLogger("asgi_realtime")

AT_ONCE: Final = 8
"""Most ended nodes that one node removes at a time. Others wait, or another node removes them."""
USERS_AT_ONCE: Final = 500
"""Most users that one command removes or takes, so that Redis serves other clients in between."""
REFUSED_FOR: Final = 86_400
"""Seconds for which Redis refuses what a removed node writes. A process may be frozen for so long."""


class EndedNodes:
    """Removes nodes in tasks of their own, so that the lease of this node is renewed while a server is slow.

    In a Redis Cluster, each gateway is removed on its own server. A server that is away delays no other one.

    Args:
        lease: that of this node.
        tasks: own the tasks.
        gateway: returns a gateway by its name.
        failed: called with the reason when Redis refused.
    """

    def __init__(
        self,
        lease: NodeLease,
        tasks: Tasks,
        *,
        gateway: Callable[[GatewayName], RedisGateway],
        failed: Callable[[str], None],
    ) -> None:
        self._lease = lease
        self._tasks = tasks
        self._gateway = gateway
        self._failed = failed
        self._removing: set[str] = set()

    @property
    def free(self) -> int:
        """How many more nodes can be removed at the moment."""
        return AT_ONCE - len(self._removing)

    def remove(self, link: Link, node: str) -> None:
        """Remove a node that this one has taken over. `link` has the leases.

        If that fails, this node or another one takes it over again.
        """
        if node == self._lease.node or node in self._removing:
            return
        self._removing.add(node)
        removing = self._tasks.spawn(self._remove(link, node), name="removing a node")
        removing.add_done_callback(lambda _: self._removing.discard(node))

    async def _remove(self, link: Link, node: str) -> None:
        logger.info("presence: removing node %s", node)
        try:
            names = await self._lease.gateways_of(link, node)
            if await self.sweep(map(self._gateway, map(GatewayName, names)), node):
                await self._lease.removed(link, node)
        except (LinkLost, BrokerUnavailable):
            pass
        except hiredis.ReplyError as error:
            self._failed(str(error))

    async def sweep(self, gateways: Iterable[RedisGateway], node: str) -> bool:
        """Remove what a node has written at some gateways. Returns False if the server of one of them is away."""
        return all(await asyncio.gather(*[self._sweep(gateway, node) for gateway in gateways]))

    async def _sweep(self, gateway: RedisGateway, node: str) -> bool:
        if gateway.link is None:
            return False
        try:
            await gateway.sweep(
                gateway.link, node, by=self._lease.node, users_at_once=USERS_AT_ONCE, refused_for=REFUSED_FOR
            )
        except LinkLost:
            return False
        except hiredis.ReplyError as error:
            self._failed(str(error))
            return False
        return True
