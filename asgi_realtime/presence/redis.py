"""Presence of an application with several processes. Redis counts the connections of each user at all nodes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import hiredis

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.presence.base import ANNOUNCED_WITHIN, JOIN_WAITS, Announce
from asgi_realtime.presence.ended_nodes import USERS_AT_ONCE, EndedNodes
from asgi_realtime.presence.memory import CallLater, Timer, too_many_connections
from asgi_realtime.presence.redis_gateway import RedisGateway, Taken
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.keys import SHARED
from asgi_realtime.redis.link import Link, LinkLost, Reply
from asgi_realtime.redis.node_lease import NodeLease
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")

FIRST_WAIT: Final = 0.005
LAST_WAIT: Final = 0.25
"""Seconds until Redis is asked again whether a user was announced as offline. The time doubles with each question."""
STOP_TIMEOUT: Final = 2.0
"""Seconds that removing this node from Redis may take. Over: its lease ends by itself."""


class RedisPresence:
    """A `Presence` for any number of processes that use one Redis.

    While Redis is away, presence is frozen: no user goes offline. What changes in that time is written to Redis later.

    Args:
        links: the connections of this process, which the broker opens and closes.
        grace: seconds a user stays online after the last connection ended.
        lease: seconds after which a node that no longer renews its lease counts as dead.
        timeout: seconds that `join` waits for Redis. Over: the connection is added, and written to Redis later. Less
            than callers wait.
        call_later: the timers of grace periods. Default: those of the running event loop.
    """

    def __init__(
        self,
        links: GatewayLinks,
        *,
        grace: float = 5.0,
        lease: float = 15.0,
        timeout: float = 0.5,
        call_later: CallLater | None = None,
    ) -> None:
        self._links = links
        self._grace = round(grace * 1_000_000)
        self._lease_seconds = lease
        self._timeout = timeout
        self._call_later = call_later
        self._tasks = Tasks()
        self._refusals = LogLimit()
        self._stack = contextlib.ExitStack()
        self._begin()

    def _begin(self) -> None:
        """Begin with no connection."""
        self._lease = NodeLease(self._links.keys(SHARED), process=self._links.node, seconds=self._lease_seconds)
        self._gateways: dict[GatewayName, RedisGateway] = {}
        self._ended = EndedNodes(self._lease, self._tasks, gateway=self._gateway, failed=self._failed)
        self._timers: dict[GatewayName, tuple[float, Timer]] = {}
        self._changed = asyncio.Lock()
        self._outdated = asyncio.Event()
        """Set when everything must be written to Redis at once, not after the next renewal of the lease."""
        self._leased: Link | None = None
        """The link on which this node has its lease."""
        self._quiet_until = 0.0
        """When users may be announced as offline again. After an outage, other nodes need time to write theirs."""
        self._offline: Announce | None = None
        self._online: Callable[[GatewayName, UserId], None] | None = None

    @property
    def node(self) -> str:
        """The id of this node. It changes when the lease was lost. Empty: Redis was not reached yet."""
        return self._lease.node

    # Start and stop

    async def start(
        self,
        offline: Announce,
        online: Callable[[GatewayName, UserId], None] | None = None,
    ) -> None:
        """Begin; see `Presence.start`. An unreachable Redis is no error."""
        self._stack.close()
        self._begin()
        self._tasks.start()
        self._offline, self._online = offline, online
        self._stack.enter_context(self._links.preparing(self._prepare))
        with contextlib.suppress(LinkLost):  # the next link is prepared too
            await self._renew()
        self._tasks.spawn(self._watch(), name="node lease")

    async def stop(self) -> None:
        """Remove this node's connections. Users who do not reconnect elsewhere are announced by another node."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._stack.close()
        self._offline = self._online = None
        await self._tasks.aclose()
        leased = self._leased
        if leased is not None and not leased.lost:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT / 2):  # another node does the rest
                    await self._ended.sweep(list(self._gateways.values()), self.node)
            with contextlib.suppress(LinkLost, hiredis.ReplyError, TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT / 2):
                    await self._lease.end(leased)
        self._begin()

    def _gateway(self, name: GatewayName) -> RedisGateway:
        gateway = self._gateways.get(name)
        if gateway is None:
            gateway = self._gateways[name] = RedisGateway(
                self._links.keys(name),
                grace=self._grace,
                grace_if_lost=max(self._grace, round(self._lease_seconds * 1_000_000)),
                online=functools.partial(self._announce_online, name),
                ask_again=functools.partial(self._ask_again, name),
                next_end=functools.partial(self._plan, name),
                failed=self._failed,
            )
            with contextlib.suppress(LinkLost, BrokerUnavailable):
                if self._leased is not None:
                    self._lease.add_gateway(self._leased, name)
                    gateway.link = self._links.of(name).current  # there is nothing to write yet
        return gateway

    # Connections

    async def join(
        self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId, *, limit: int | None = None
    ) -> bool:
        """Add a connection; see `Presence.join`.

        If Redis does not answer within the timeout, or another process still announces the user as offline, the
        connection is added and this returns False. When Redis answers later that the user came online, `online` of
        `start` is called.
        """
        if self._offline is None:
            return False  # it has stopped
        found = self._gateway(gateway)
        earlier = found.connections.of(user_id)
        if connection_id in earlier:
            return False
        if limit is not None and len(earlier) >= limit:
            raise too_many_connections()
        answer = found.add(user_id, connection_id, self.node, limit or 0)
        if answer is None:
            return False
        await asyncio.wait([answer], timeout=self._timeout)
        if not answer.done():
            answer.cancel()
            return False
        if answer.result() == RedisGateway.REFUSED:
            raise too_many_connections()
        if answer.result() == RedisGateway.ASK_AGAIN:
            asking = self._ask_until_announced(gateway, user_id)
            await asyncio.wait([asking], timeout=JOIN_WAITS)
            if asking.done():
                return not asking.cancelled() and asking.result()
            self._announce_online_after(asking, gateway, user_id)
            return False
        return answer.result() == RedisGateway.ONLINE

    def _ask_until_announced(self, gateway: GatewayName, user_id: UserId) -> asyncio.Task[bool]:
        """Ask until the user was announced as offline. Returns whether the user must now be announced as online."""

        async def ask() -> bool:
            found, wait = self._gateway(gateway), FIRST_WAIT
            while True:
                await asyncio.sleep(wait)
                answer = found.count_again(user_id, self.node)
                if answer is None:
                    return False  # the user has left, or the next link answers
                result = await answer
                if result != RedisGateway.ASK_AGAIN:
                    return result == RedisGateway.ONLINE
                wait = min(2 * wait, LAST_WAIT)

        return self._tasks.spawn(ask(), name="asking presence again")

    def _announce_online_after(self, asking: asyncio.Task[bool], gateway: GatewayName, user_id: UserId) -> None:
        def answered(asking: asyncio.Task[bool]) -> None:
            if not asking.cancelled() and asking.exception() is None and asking.result():
                self._announce_online(gateway, user_id)

        asking.add_done_callback(answered)

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Remove a connection; see `Presence.leave`. It does not wait for Redis."""
        found = self._gateways.get(gateway)
        if found is not None:
            found.remove(user_id, connection_id, self.node)

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users who are online; see `Presence.online`.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        return await self._ask(gateway, read=_users)

    def users_here(self, gateway: GatewayName) -> int:
        """How many users have connections to this process; see `Presence.users_here`."""
        found = self._gateways.get(gateway)
        return 0 if found is None else len(found.connections)

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online; see `Presence.is_online`.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        return await self._ask(gateway, user_id, read=bool)

    async def _ask(self, gateway: GatewayName, *arguments: str, read: Callable[[Reply], T]) -> T:
        keys = self._links.keys(gateway)
        return await self._links.of(gateway).run(
            Script.PRESENCE_ONLINE, [keys.connections, keys.leaving], *arguments, read=read
        )

    # Links and the lease

    async def _prepare(self, reconnecting: ReconnectingLink, link: Link) -> None:
        """Write to a new link what this node has. A refusal is logged, and it is written again later."""
        async with self._changed:
            try:
                if reconnecting is self._links.of(SHARED):
                    await self._take_lease(link)
                self._write_all(reconnecting, link)
            except hiredis.ReplyError as error:
                self._failed(str(error))

    async def _take_lease(self, link: Link) -> None:
        """Take a lease on a new link. If the old one was lost, everything is written again, under another id."""
        self._leased = None
        had_lease = bool(self.node)
        if not await self._lease.begin(link):
            for gateway in self._gateways.values():
                gateway.link, gateway.removed = None, had_lease
        for name in self._gateways:
            self._lease.add_gateway(link, name)
        self._leased = link

    def _write_all(self, reconnecting: ReconnectingLink | None = None, link: Link | None = None) -> None:
        """Write each gateway's counts, unless that was done on its link. `link` is the new one of `reconnecting`."""
        for name, gateway in list(self._gateways.items()):
            own = self._links.of(name)
            current = link if own is reconnecting else own.current
            if not self.node or current is None or current is gateway.link:
                continue
            try:
                gateway.write_all(current, self.node)
            except LinkLost:
                if own is reconnecting:
                    raise
                continue  # its server is away
            self._quiet_until = asyncio.get_running_loop().time() + self._lease.every
            self._plan(name, 0.0)

    def _failed(self, reason: str | None) -> None:
        """Everything must be written to Redis again: at once, unless Redis has refused it."""
        if reason is None:
            self._outdated.set()
        elif not reason.startswith("NOSCRIPT") and (more := self._refusals.more(reason)) is not None:
            logger.error("presence: Redis refused: %s%s", reason, more)

    async def _watch(self) -> None:
        """Renew the lease, and remove nodes that have died."""
        while True:
            self._outdated.clear()
            try:
                await self._renew()
            except (LinkLost, BrokerUnavailable):
                pass
            except hiredis.ReplyError as error:
                self._failed(str(error))
            except Exception as error:
                self._tasks.failures.failed(None, "presence: renewing the lease failed", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease.next_in):
                    await self._outdated.wait()

    async def _renew(self) -> None:
        link = self._links.of(SHARED).current
        if link is None:
            return
        ended: list[str] | None = []
        async with self._changed:
            if self._leased is link:
                ended = await self._lease.renew(link, take=self._ended.free)
            if self._leased is not link or ended is None:
                if ended is None:
                    logger.warning("presence: the lease of this node has ended, so it takes another id")
                await self._take_lease(link)
            self._write_all()
        for node in ended or ():
            self._ended.remove(link, node)

    # Announcements

    def _ask_again(self, gateway: GatewayName, user_id: UserId) -> None:
        self._announce_online_after(self._ask_until_announced(gateway, user_id), gateway, user_id)

    def _announce_online(self, gateway: GatewayName, user_id: UserId) -> None:
        # Later, because this is called while messages of Redis are read.
        if self._online is not None:
            asyncio.get_running_loop().call_soon(self._online, gateway, user_id)

    def _announce_offline(self, gateway: GatewayName, taken: Taken) -> None:
        asyncio.get_running_loop().call_soon(self._call_offline, gateway, taken)

    def _call_offline(self, gateway: GatewayName, taken: Taken) -> None:
        if self._offline is None:
            return  # another node announces the user when it removes this one
        announcing = self._offline(gateway, taken.user_id)
        if announcing is None:
            self._announced_offline(gateway, taken)
        else:
            announcing.add_done_callback(functools.partial(self._announced_offline, gateway, taken))

    def _announced_offline(
        self, gateway: GatewayName, taken: Taken, announcing: asyncio.Future[Any] | None = None
    ) -> None:
        found = self._gateways.get(gateway)
        if found is None or (announcing is not None and announcing.cancelled()):
            return  # this node has stopped
        if found.announced(taken):  # others of this moment are told together with it
            asyncio.get_running_loop().call_soon(self._take, gateway, 0)

    def _plan(self, gateway: GatewayName, seconds: float) -> None:
        """Take the users whose grace period has ended, in some seconds."""
        if self._offline is None:
            return
        loop = asyncio.get_running_loop()
        at = max(loop.time() + seconds, self._quiet_until)
        planned = self._timers.get(gateway)
        if planned is not None:
            if planned[0] <= at:
                return
            planned[1].cancel()
        call_later = self._call_later or loop.call_later
        self._timers[gateway] = at, call_later(at - loop.time(), functools.partial(self._take_ended, gateway))

    def _take_ended(self, gateway: GatewayName) -> None:
        del self._timers[gateway]
        if asyncio.get_running_loop().time() < self._quiet_until:
            self._plan(gateway, 0.0)
            return
        self._take(gateway, USERS_AT_ONCE)

    def _take(self, gateway: GatewayName, most: int) -> None:
        found = self._gateways.get(gateway)
        if found is not None:
            offline = functools.partial(self._announce_offline, gateway)
            found.take_ended(most, round(ANNOUNCED_WITHIN * 1_000_000), self.node, offline)


def _users(reply: Reply) -> set[UserId]:
    return {UserId(user.decode()) for user in cast("list[bytes]", reply) if user}
