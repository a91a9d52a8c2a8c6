"""Publishes through Redis, in one round trip: Redis numbers a publication, keeps it and distributes it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

import hiredis

from asgi_realtime.broker.encoding import Encode
from asgi_realtime.broker.redis_channels import Channels
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.keys import Keys, suffixes
from asgi_realtime.redis.link import Argument, CountCopies, Link, LinkLost, Reply
from asgi_realtime.redis.scripts import PackedCall, Script, run_script
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Publication, Receipt

_UNKNOWN: Final = 2
"""What `publish.lua` returns if it did not publish, because it may have done so before."""


PACKED_TARGETS: Final = 4_096
"""Most targets for which the bytes that are the same in each publication are kept. Over: all are made again."""

Appended: TypeAlias = tuple[Position, int | asyncio.Future[int]]
"""The position of a publication, and the number of its recipients here. A future: its copy is held."""


class InDoubt(BrokerUnavailable):
    """A reply was lost, and history no longer says whether Redis had published."""


class Attempt:
    """The first attempt to publish something, for those that follow because its reply was lost."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: int | None = None
        """Redis has given it no number up to this one. None: it was not attempted yet."""


class Appending:
    """A publication or command on its way into the histories of its targets. It may take several attempts.

    Args:
        channels: those of this process.
        keys: those of the gateway.
        ends: what the keys and channels of the targets end with.
        data: what is published.
        origin: names the call.
        attempt: the first attempt, if there was one.
        answered: called when Redis has answered.
    """

    __slots__ = ("_answered", "_attempt", "_channels", "_data", "_ends", "_keys", "_origin", "_subscribed", "command")

    command: PackedCall

    def __init__(
        self,
        channels: Channels,
        keys: Keys,
        ends: Sequence[str],
        data: bytes,
        origin: str,
        attempt: Attempt,
        answered: Callable[[], None] | None,
    ) -> None:
        self._channels = channels
        self._keys = keys
        self._ends = ends
        self._data = data
        self._origin = origin
        self._attempt = attempt
        self._answered = answered
        self._subscribed = 0

    def send(self, link: Link, again: bool) -> asyncio.Future[Appended | None]:
        """Send it. The result is None if history does not say whether it was published by an earlier attempt."""
        attempt = self._attempt
        since = attempt.since or 0
        if not since:
            attempt.since = link.clock.earliest(asyncio.get_running_loop().time())
        command = self.command.pack(self._data, self._origin, since)
        if not link.copies_follow:
            return link.ask_packed(command, self._read)
        self._subscribed = self._channels.count_subscribed(self._keys.gateway, self._ends, link)
        return link.ask_packed(command, self._read, self._count_copies)

    def _read(self, reply: Reply) -> Appended | None:
        found, is_new = cast("tuple[bytes, int]", reply)
        if is_new == _UNKNOWN:
            return None
        if self._answered is not None:
            self._answered()
        position = found.decode()
        feed = self._channels.feed(self._keys.gateway)
        if feed is None or not is_new:
            return Position(position), 0
        return Position(position), feed.delivered(int(position.rpartition("-")[2]))

    def _count_copies(self, reply: Reply) -> int:
        return self._subscribed if cast("tuple[bytes, int]", reply)[1] == 1 else 0


def _certain(found: Appended | None) -> Appended:
    if found is None:
        raise InDoubt("a reply of Redis was lost, and history no longer says whether the event was published")
    return found


class RedisPublisher:
    """Publishes on the links of this process.

    Args:
        channels: those of this process. It raises `BrokerUnavailable` if the application has stopped.
        size: publications kept for each target.
        ttl: milliseconds that a publication or an idempotency key is kept.
        encode: writes a publication.
    """

    def __init__(
        self, links: GatewayLinks, *, channels: Callable[[], Channels], size: int, ttl: int, encode: Encode
    ) -> None:
        self._links = links
        self._channels = channels
        self._size = size
        self._ttl = ttl
        self._encode = encode
        self._packed: dict[tuple[GatewayName, str], PackedCall] = {}
        """By gateway and target: what is the same in each call."""
        self._numbers = itertools.count()

    def start(self) -> None:
        """Begin. Not in the constructor, because a process that is forked later must not have the same numbers."""
        self._epoch = secrets.token_hex(4)
        """What the epoch of each history begins with that this process begins."""
        self._packed.clear()  # the epoch is in it
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
        appending = self._prepare(keys, ends, data, origin, self._size, key, attempt, answered)
        position, delivered = _certain(await self._links.of(keys.gateway).attempt(appending.send))
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
        message = b"-%d:0:" % number + self._encode(publication, "")
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
    ) -> Appended:
        """Append to the histories with these endings of keys, and publish to their channels.

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
        appending = self._prepare(keys, ends, data, origin, size, key, attempt, answered, only_in_history)
        return _certain(await self._links.of(keys.gateway).attempt(appending.send))

    def _prepare(
        self,
        keys: Keys,
        ends: Sequence[str],
        data: bytes,
        origin: str,
        size: int,
        key: str | None,
        attempt: Attempt | None,
        answered: Callable[[], None] | None,
        only_in_history: bool = False,
    ) -> Appending:
        """See `append`. Each broadcast is one coroutine shorter because `publish` calls this."""
        appending = Appending(self._channels(), keys, ends, data, origin, attempt or Attempt(), answered)
        if key is None and len(ends) == 1 and not only_in_history:
            appending.command = self._packed.get((keys.gateway, ends[0])) or self._pack_for(keys, ends[0], size)
        else:
            appending.command = self._pack(keys, ends, size, key, only_in_history)
        return appending

    def _pack_for(self, keys: Keys, end: str, size: int) -> PackedCall:
        if len(self._packed) >= PACKED_TARGETS:
            self._packed.clear()
        command = self._packed[keys.gateway, end] = self._pack(keys, [end], size, None, False)
        return command

    def _pack(self, keys: Keys, ends: Sequence[str], size: int, key: str | None, only_in_history: bool) -> PackedCall:
        names = [keys.state] if key is None else [keys.state, keys.receipt(key)]
        for end in ends:
            names += keys.last(end), keys.history(end)
        receipt_ttl = 0 if key is None else self._ttl
        before: list[Argument] = [self._epoch, size, self._ttl, receipt_ttl, self._links.publish_command]
        after: list[Argument] = [keys.channel(end) for end in ends]
        if only_in_history:
            after.append(1)
        return PackedCall(Script.PUBLISH, names, before, between=3, after=after)
