"""Publishes through Redis, in one round trip: Redis numbers a publication, keeps it and distributes it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Final, cast

import hiredis

from asgi_realtime.broker.encoding import encode_publication
from asgi_realtime.broker.redis_channels import Channels
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.history_state import new_epoch
from asgi_realtime.redis.keys import Keys, suffixes
from asgi_realtime.redis.link import Argument, CountCopies, Link, LinkLost, Reply
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.values.publications import Position, Publication, Receipt

_UNKNOWN: Final = 2
"""What `publish.lua` returns if it did not publish, because it may have done so before."""


class InDoubt(BrokerUnavailable):
    """A reply was lost, and history no longer says whether Redis had published."""


class Attempt:
    """The first attempt to publish something, for those that follow because its reply was lost."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: int | None = None
        """Redis has given it no number up to this one. None: it was not attempted yet."""


class RedisPublisher:
    """Publishes on the links of this process.

    Args:
        channels: those of this process. It raises `BrokerUnavailable` if the application has stopped.
        size: publications kept for each target.
        ttl: milliseconds that a publication or an idempotency key is kept.
    """

    def __init__(self, links: GatewayLinks, *, channels: Callable[[], Channels], size: int, ttl: int) -> None:
        self._links = links
        self._channels = channels
        self._size = size
        self._ttl = ttl
        self._epoch = new_epoch()
        """The epoch of the next history that this process begins."""
        self._numbers = itertools.count()
        self._volatile_numbers = itertools.count(secrets.randbits(42) << 20)

    def new_origin(self) -> str:
        """Names one call of one process that publishes."""
        return f"{self._links.node}:{next(self._numbers)}"

    async def publish(
        self,
        publication: Publication,
        origin: str,
        *,
        data: bytes,
        key: str | None,
        attempt: Attempt | None = None,
        answered: Callable[[], None] | None = None,
    ) -> Receipt:
        """Number, keep and publish; see `RedisBroker.publish_from`. `data` is the encoded publication."""
        keys, ends = self._links.keys(publication.gateway), suffixes(publication.target)
        position, delivered = await self.append(keys, ends, data, origin, self._size, key, attempt, answered)
        if not isinstance(delivered, int):
            delivered = await asyncio.shield(delivered)
        return Receipt(position=position, delivered_locally=delivered, replicated=True)

    async def publish_volatile(self, publication: Publication) -> Receipt:
        """Publish without a number and without history.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        gateway, channels, publish = publication.gateway, self._channels(), self._links.publish_command
        keys = self._links.keys(gateway)
        number = next(self._volatile_numbers)
        message = b"-%d:0:" % number + encode_publication(publication)
        ends = suffixes(publication.target)
        names = [keys.channel(end) for end in ends]

        def delivered(reply: Reply) -> int:
            feed = channels.feed(gateway)
            return 0 if feed is None else feed.delivered_volatile(number)

        def copies() -> CountCopies:
            subscribed = channels.count_subscribed(gateway, ends, link)
            return lambda reply: subscribed

        link = await self._links.of(gateway).link()
        try:
            if len(names) == 1:
                counted = copies() if link.copies_follow else None
                count = await link.ask(publish, names[0], message, read=delivered, copies=counted)
            else:
                # One step, so that the copies come together: a process delivers them once.
                count = await run_script(
                    link, Script.VOLATILE, [keys.state], publish, message, *names, read=delivered, copies=copies
                )
        except (LinkLost, hiredis.ReplyError) as error:
            raise BrokerUnavailable(f"Redis did not publish: {error}") from error
        return Receipt(position=None, delivered_locally=count, replicated=True)

    async def append(
        self,
        keys: Keys,
        ends: Sequence[str],
        data: bytes,
        origin: str,
        size: int,
        key: str | None = None,
        attempt: Attempt | None = None,
        answered: Callable[[], None] | None = None,
        *,
        only_in_history: bool = False,
    ) -> tuple[Position, int | asyncio.Future[int]]:
        """Append to the histories with these endings of keys, and publish to their channels.

        Returns the position, and the number of recipients here (a future: the copy is held).

        Args:
            keys: those of the gateway.
            ends: the endings.
            data: what is published.
            origin: names the call.
            size: entries that each history keeps.
            key: the idempotency key.
            attempt: that of earlier calls, if there were any.
            answered: called when Redis has answered.
            only_in_history: it is a command, and a process that misses it can get it from history only.

        Raises:
            InDoubt: a reply was lost, and history does not say whether it was published.
            BrokerUnavailable: Redis is away, or refused.
        """
        channels = self._channels()
        names = [keys.state] if key is None else [keys.state, keys.receipt(key)]
        for end in ends:
            names += keys.last(end), keys.history(end)
        receipt_ttl = 0 if key is None else self._ttl
        publish = self._links.publish_command
        before: list[Argument] = [self._epoch, size, self._ttl, receipt_ttl, publish, data, origin]
        after: list[Argument] = [keys.channel(end) for end in ends]
        if only_in_history:
            after.append(1)

        def published(reply: Reply) -> tuple[Position, int | asyncio.Future[int]] | None:
            position, is_new = cast("tuple[bytes, int]", reply)
            if is_new == _UNKNOWN:
                return None
            self._renew_epoch(position)
            if answered is not None:
                answered()
            feed = channels.feed(keys.gateway)
            if feed is None or not is_new:
                return Position(position.decode()), 0
            return Position(position.decode()), feed.delivered(int(position.rpartition(b"-")[2]))

        def copies(link: Link) -> CountCopies:
            subscribed = channels.count_subscribed(keys.gateway, ends, link)
            return lambda reply: subscribed if cast("tuple[bytes, int]", reply)[1] == 1 else 0

        first = attempt or Attempt()

        async def run(link: Link, again: bool) -> tuple[Position, int | asyncio.Future[int]] | None:
            since = first.since or 0
            if not since:
                first.since = link.clock.earliest(asyncio.get_running_loop().time())
            arguments = [*before, since, *after]
            count = functools.partial(copies, link)
            return await run_script(link, Script.PUBLISH, names, *arguments, read=published, copies=count)

        found = await self._links.of(keys.gateway).attempt(run)
        if found is None:
            raise InDoubt("a reply of Redis was lost, and history no longer says whether the event was published")
        return found

    def _renew_epoch(self, position: bytes) -> None:
        """Make another epoch for the next history, if the current history began with this one."""
        if position.startswith(self._epoch.encode()):
            self._epoch = new_epoch()
