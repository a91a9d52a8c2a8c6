"""The lease of a node in Redis: it shows that the process runs. All times are those of Redis' clock."""

from __future__ import annotations

import asyncio
import secrets
from typing import cast

from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link, Reply
from asgi_realtime.redis.scripts import Script, run_script


class NodeLease:
    """Renews the lease of this process, and finds the nodes whose lease has ended.

    A node whose lease has ended is taken over by one other node, which removes what it left. If that node dies too,
    the next one takes both over.

    Args:
        keys: the names in Redis that concern all gateways.
        process: the id of the process.
        seconds: how long a lease lasts. It is renewed three times as often.
    """

    def __init__(self, keys: Keys, *, process: str, seconds: float) -> None:
        self._keys = keys
        self._process = process
        self._microseconds = round(seconds * 1_000_000)
        self.every = seconds / 3
        """Seconds between two renewals."""
        self.node = ""
        """The id of the node: that of the process, and a part that changes if the lease is lost. Empty: none yet."""
        self._take_over_from = 0.0
        self.next_in = self.every
        """Seconds until the lease must be renewed, or that of another node ends."""

    async def begin(self, link: Link) -> bool:
        """Renew the lease on a new link. Returns False if it was lost: then the node has another id.

        For the time between two renewals, no node is taken over: after an outage of Redis, the others need that time
        to renew theirs.

        Raises:
            LinkLost: the connection is lost.
            hiredis.ReplyError: Redis refused.
        """
        self._take_over_from = asyncio.get_running_loop().time() + self.every
        if self.node and (await self._renew(link, is_new=False)) is not None:
            return True
        self.node = f"{self._process}.{secrets.token_urlsafe(4)}"
        await self._renew(link, is_new=True)
        return False

    async def renew(self, link: Link, *, take: int) -> list[str] | None:
        """Renew the lease. Returns the nodes that this one takes over, at most `take`. None: the lease was lost.

        Raises:
            LinkLost: the connection is lost.
            hiredis.ReplyError: Redis refused.
        """
        settled = asyncio.get_running_loop().time() >= self._take_over_from
        return await self._renew(link, is_new=False, take=take if settled else 0)

    async def _renew(self, link: Link, *, is_new: bool, take: int = 0) -> list[str] | None:
        keys, arguments = self._keys, (self.node, self._microseconds, int(is_new), take)
        has_lease, microseconds, *ended = await run_script(
            link, Script.NODE_LEASE, [keys.nodes, keys.ended_nodes], *arguments, read=_numbers_and_nodes
        )
        # When another node dies, its lease ends before the next renewal. All nodes look then, and one takes it over.
        self.next_in = min(self.every, microseconds / 1_000_000 + 0.001) if take else self.every
        return [node.decode() for node in ended] if has_lease else None

    async def gateways_of(self, link: Link, node: str) -> list[str]:
        """The gateways that a node has used."""
        return await link.ask("SMEMBERS", self._keys.of_node(node), read=_names)

    def add_gateway(self, link: Link, gateway: str) -> None:
        """Record a gateway that this node uses.

        Raises:
            LinkLost: the connection is lost.
        """
        link.send(_unread, "SADD", self._keys.of_node(self.node), gateway)

    async def removed(self, link: Link, node: str) -> None:
        """A node that was taken over is removed, at every gateway."""
        link.send(_unread, "DEL", self._keys.of_node(node))
        await link.ask("ZREM", self._keys.ended_nodes, node, read=_unread)

    async def end(self, link: Link) -> None:
        """End the lease. Another node takes this one over as soon as it renews its own."""
        link.send(_unread, "ZADD", self._keys.ended_nodes, 0, self.node)
        await link.ask("ZREM", self._keys.nodes, self.node, read=_unread)
        self.node = ""


def _numbers_and_nodes(reply: Reply) -> tuple[int, int, *tuple[bytes, ...]]:
    return cast("tuple[int, int, *tuple[bytes, ...]]", reply)


def _names(reply: Reply) -> list[str]:
    # RESP3 has sets. hiredis makes lists of them, or sets if asked to.
    return [name.decode() for name in cast("list[bytes]", reply)]


def _unread(reply: Reply) -> None:
    """The reply does not matter."""
