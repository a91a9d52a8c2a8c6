"""The channels in Redis that this process has subscribed to.

The table has the wanted subscriptions. New channels are subscribed to on the current link, and a new link subscribes to
all of them. A channel is confirmed when the reply to a command after its SUBSCRIBE has come.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import hiredis

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.encoding import Decode
from asgi_realtime.broker.redis_feed import Channel, Feed
from asgi_realtime.broker.redis_lag import MeasuredFeed
from asgi_realtime.broker.redis_repair import COMPARED_AT_ONCE, begin_at, catch_up
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import BROKER_GAPS, BROKER_LAG_SECONDS
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import COMMANDS, suffixes
from asgi_realtime.redis.link import Link, LinkLost, Reply
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script, send_script
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Subscription, Target

COMPARE_EVERY: Final = 30.0
"""Seconds between comparisons of what was delivered with the numbers in Redis. With a short history more often."""


class Channels:
    """Subscribes, and gives each message to the feed of its gateway.

    Args:
        receiver: what feeds deliver to.
        ttl: milliseconds that history is kept.
        others: called with channel and payload of each message that is of no target.
        commanded: see `Feed`.
        unconfirmed: see `Feed`.
        decode: see `Feed`.
    """

    def __init__(
        self,
        receiver: BrokerReceiver,
        *,
        links: GatewayLinks,
        ttl: int,
        others: Callable[[bytes, bytes], None],
        commanded: Callable[[str, Awaitable[object] | Exception | None], None],
        unconfirmed: dict[str, bool],
        decode: Decode,
        tasks: Tasks,
        meter: Meter,
    ) -> None:
        self._unconfirmed = unconfirmed
        self._decode = decode
        self.receiver = receiver
        """What the feeds deliver to."""
        self._links = links
        self._ttl = ttl
        self._others = others
        self._commanded = commanded
        self._tasks = tasks
        self._meter = meter
        self._gaps = meter.counters(BROKER_GAPS, "gateway")
        self._feeds: dict[GatewayName, Feed] = {}
        self._by_name: dict[bytes, Channel] = {}
        self._stopped = False
        self._unsent: list[Channel] = []
        """New channels that SUBSCRIBE was not sent for."""

    def __len__(self) -> int:
        return len(self._by_name)

    def received(self, name: bytes, payload: bytes) -> None:
        """A message has come."""
        channel = self._by_name.get(name)
        if channel is not None:
            channel.feed.receive(channel, payload)
        else:
            self._others(name, payload)

    def feed(self, gateway: GatewayName) -> Feed | None:
        """The feed of a gateway. None: nothing was subscribed to yet."""
        return self._feeds.get(gateway)

    def expects_command(self, gateway: GatewayName, position: Position) -> bool:
        """Whether the command of a gateway with this position is still to come."""
        feed = self._feeds.get(gateway)
        if feed is None:
            return False
        epoch, _, number = position.rpartition("-")
        last = feed.channels[COMMANDS].last
        return epoch == feed.epoch and last is not None and last < int(number)

    def count_subscribed(self, gateway: GatewayName, ends: Iterable[str], link: Link) -> int:
        """How many of the channels with these endings this process has subscribed to on a link."""
        feed = self._feeds.get(gateway)
        if feed is None:
            return 0
        found = map(feed.channels.get, ends)
        return sum(channel is not None and channel.link is link for channel in found)

    async def until_delivered(self, gateway: GatewayName) -> None:
        """Return when everything that came before this call was delivered."""
        feed = self._feeds.get(gateway)
        while feed is not None and feed.holding:
            await feed.until_released()

    # Changes of the table

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe, and return when it is done.

        If it is cancelled, what was not confirmed is removed, unless another call waits for it.
        """
        channels: list[Channel] = []
        for subscription in subscriptions:
            feed = self._feed(subscription.gateway)
            [suffix] = suffixes(subscription.target)
            channel = feed.channels.get(suffix) or self._add(feed, suffix, subscription.target)
            channel.callers += 1
            feed.ahead.discard(channel)
            channels.append(channel)
        commands = [self._feed(subscription.gateway).channels[COMMANDS] for subscription in subscriptions]
        done = False
        try:
            await self._until_confirmed([*channels, *commands])
            done = True
        finally:
            unused = []
            for channel in channels:
                channel.callers -= 1
                is_new = channel.confirmed is not None or (channel.entered and not done)
                channel.entered = False
                if is_new and not channel.callers and channel.expected_at is None:
                    if channel.since is None or channel.confirmed is None:
                        unused.append(channel)
                    else:
                        channel.feed.ahead.add(channel)  # its history is being read for a command
            self._remove(unused)

    def expect(self, subscriptions: Iterable[Subscription]) -> None:
        """Subscribe as soon as there is a link. If events were missed until then, members get `realtime:resync`."""
        for subscription in subscriptions:
            feed = self._feed(subscription.gateway)
            [suffix] = suffixes(subscription.target)
            channel = feed.channels.get(suffix) or self._add(feed, suffix, subscription.target)
            channel.entered = False
            feed.ahead.discard(channel)
            if channel.confirmed is None:
                channel.expected_at = None
            elif channel.expected_at is None:
                channel.expected_at = max(feed.checked, feed.number)
        self._send_subscribe()

    def expect_commands(self, gateway: GatewayName) -> None:
        """Subscribe to the commands of a gateway as soon as there is a link."""
        self._feed(gateway)
        self._send_subscribe()

    async def subscribe_to_commands(self, gateway: GatewayName) -> None:
        """Subscribe to the commands of a gateway, unless it is done."""
        await self._until_confirmed([self._feed(gateway).channels[COMMANDS]])

    def stop(self) -> None:
        """End the calls that wait."""
        self._stopped = True
        for feed in self._feeds.values():
            feed.stop()
            for channel in feed.channels.values():
                channel.confirm()

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Unsubscribe. What comes from now on is not delivered. Not if a command has added members since."""
        found = []
        for subscription in subscriptions:
            feed = self._feeds.get(subscription.gateway)
            channel = None if feed is None else feed.channels.get(suffixes(subscription.target)[0])
            if channel is not None and not channel.entered:
                found.append(channel)
        self._remove(found)

    async def _until_confirmed(self, channels: Iterable[Channel]) -> None:
        self._send_subscribe()
        for channel in channels:
            if channel.confirmed is not None:
                await asyncio.shield(channel.confirmed)
        if self._stopped:
            raise BrokerUnavailable("the application has stopped")

    def _feed(self, gateway: GatewayName) -> Feed:
        feed = self._feeds.get(gateway)
        if feed is None:
            kind = MeasuredFeed if self._meter.on else Feed
            feed = self._feeds[gateway] = kind(
                gateway,
                self.receiver,
                repair=self._begin_repair,
                subscribe=self._begin_subscribing,
                commanded=self._commanded,
                unconfirmed=self._unconfirmed,
                decode=self._decode,
                failures=self._tasks.failures,
            )
            if isinstance(feed, MeasuredFeed):
                feed.lag = self._meter.histogram(BROKER_LAG_SECONDS, gateway=gateway)
            self._add(feed, COMMANDS, None)
        return feed

    def _add(self, feed: Feed, suffix: str, target: Target | None) -> Channel:
        channel = feed.channels[suffix] = Channel(feed, suffix, target)
        self._by_name[self._links.keys(feed.gateway).channel(suffix).encode()] = channel
        self._unsent.append(channel)
        return channel

    def _remove(self, channels: Iterable[Channel]) -> None:
        by_link: dict[Link, list[str]] = {}
        for channel in channels:
            feed = channel.feed
            if feed.channels.get(channel.suffix) is not channel:
                continue
            name = self._links.keys(feed.gateway).channel(channel.suffix)
            del feed.channels[channel.suffix], self._by_name[name.encode()]
            if channel.link is not None and not channel.link.lost:
                by_link.setdefault(channel.link, []).append(name)
            channel.confirm()  # no caller waits any longer
        for link, names in by_link.items():
            try:
                link.unsubscribe(names)
            except LinkLost:
                link.abort()  # Redis does not read. The next link does not subscribe to them

    # The current link

    def _current(self, feed: Feed) -> Link | None:
        return self._links.of(feed.gateway).current

    def _send_subscribe(self) -> None:
        """Subscribe to the new channels. Without a link, the next one subscribes to all channels."""
        new, self._unsent = self._unsent, []
        new = [channel for channel in new if channel.feed.channels.get(channel.suffix) is channel]
        for feed, channels in _by_feed(new).items():
            link = self._current(feed)
            if link is None:
                continue
            try:
                self._subscribe_on(link, feed, [channel for channel in channels if channel.link is not link])
            except LinkLost:
                link.abort()  # the next link does it

    def _subscribe_on(self, link: Link, feed: Feed, channels: Sequence[Channel]) -> None:
        """Send SUBSCRIBE, and ask for the number that each target is at. What is published later is delivered."""
        keys = self._links.keys(feed.gateway)
        for start in range(0, len(channels), COMPARED_AT_ONCE):
            some = channels[start : start + COMPARED_AT_ONCE]
            for channel in some:
                channel.link = link
            link.subscribe(keys.channel(channel.suffix) for channel in some)
            names = [keys.state, *(keys.last(channel.suffix) for channel in some)]
            send_script(link, functools.partial(self._subscribed, link, feed, some), Script.STATE, names, new_epoch())

    def _subscribed(self, link: Link, feed: Feed, channels: Sequence[Channel], reply: Reply) -> None:
        if isinstance(reply, LinkLost):
            return
        if isinstance(reply, Exception):
            feed.failures.failed(feed.gateway, "Redis did not return the state of history", reply, traceback=False)
            link.abort()
            return
        state = HistoryState(reply)
        if feed.epoch is None:
            feed.epoch = state.epoch
        if not feed.checked:
            feed.checked = state.now
        if not all([begin_at(channel, number) for channel, number in zip(channels, state.last, strict=True)]):
            self._tasks.spawn(self._repair(feed, always=True), name="comparing for early members")
        for channel in channels:
            channel.confirm()

    def _subscribe_needed(self, feed: Feed, link: Link) -> list[Channel]:
        """Subscribe to what held commands add members to. Returns the channels whose history must be read."""
        needed, feed.needed = feed.needed, {}
        found = []
        for target, number in needed.items():
            [suffix] = suffixes(target)
            channel = feed.channels.get(suffix)
            if channel is None:
                channel = self._add(feed, suffix, target)
                feed.ahead.add(channel)
            if channel.last is None and channel.since is None:
                channel.since = number
                found.append(channel)
        self._subscribe_on(link, feed, [channel for channel in found if channel.link is not link])
        return found

    # A new link

    async def subscribe_again(
        self, reconnecting: ReconnectingLink, link: Link, prepare: Callable[[ReconnectingLink, Link], Awaitable[None]]
    ) -> None:
        """Subscribe to everything of a link on its new connection, and deliver what was missed since the last one.

        `prepare` is awaited when the commands are subscribed to, before callers of `subscribe` continue.
        """
        prepared = False
        while missing := self._missing(reconnecting, link):
            for feed, channels in missing.items():
                async with feed.lock:  # a repair on the last link ends first, so that it delivers nothing of this one
                    feed.hold()
                    for channel in channels:
                        channel.link = link
                    link.subscribe(
                        self._links.keys(feed.gateway).channel(channel.suffix)
                        for channel in channels
                        if feed.channels.get(channel.suffix) is channel
                    )
                    await self._catch_up(feed, link)
            if not prepared:
                await prepare(reconnecting, link)
                prepared = True
            for channels in missing.values():
                for channel in channels:
                    channel.confirm()

    def link_up(self, reconnecting: ReconnectingLink, link: Link) -> None:
        """A link is current. Subscribe to the channels that were added after `subscribe_again` ended."""
        self._unsent += [channel for some in self._missing(reconnecting, link).values() for channel in some]
        self._send_subscribe()

    def _missing(self, reconnecting: ReconnectingLink, link: Link) -> Mapping[Feed, list[Channel]]:
        """What a new connection has not subscribed to yet."""
        return {
            feed: channels
            for feed in self._feeds.values()
            if self._links.of(feed.gateway) is reconnecting
            and (channels := [channel for channel in feed.channels.values() if channel.link is not link])
        }

    async def _catch_up(self, feed: Feed, link: Link, *, whole: bool = True) -> None:
        subscribe = functools.partial(self._subscribe_needed, feed, link)
        keys = self._links.keys(feed.gateway)
        await catch_up(feed, link, keys, self._ttl, self._meter, subscribe=subscribe, whole=whole)
        unused, feed.ahead = feed.ahead, set()
        self._remove(unused)

    # Gaps, and commands that need a subscription first

    def _begin_subscribing(self, feed: Feed) -> None:
        """A command adds members to a room that is not subscribed to. The feed holds until its history is read."""
        self._tasks.spawn(self._repair(feed, whole=False), name="subscribing for a command")

    def _begin_repair(self, feed: Feed) -> None:
        """A message is missing although the link stands. The feed holds until it is read."""
        self._gaps.add(feed.gateway)
        self._tasks.spawn(self._repair(feed), name="repair")

    async def _repair(self, feed: Feed, *, whole: bool = True, always: bool = False) -> None:
        async with feed.lock:
            link = self._current(feed)
            if link is None or not (feed.holding or always):
                return  # the next link repairs it, or has done so
            feed.hold()  # an earlier repair may have released it
            try:
                await self._catch_up(feed, link, whole=whole)
            except LinkLost:
                pass
            except hiredis.ReplyError as error:
                feed.failures.failed(feed.gateway, "Redis refused to return missed messages", error, traceback=False)
                link.abort()
            except BaseException:
                link.abort()  # the next link tries again
                raise

    async def watch(self) -> None:
        """Compare numbers at intervals. This finds a lost message that no other message followed."""
        while True:
            await asyncio.sleep(min(COMPARE_EVERY, self._ttl / 4_000))
            for feed in list(self._feeds.values()):
                if self._current(feed) is not None and not feed.holding:
                    feed.hold()
                    try:
                        await self._repair(feed)
                    except Exception as error:
                        feed.failures.failed(feed.gateway, "a comparison with Redis failed", error)


def _by_feed(channels: Iterable[Channel]) -> Mapping[Feed, list[Channel]]:
    found: dict[Feed, list[Channel]] = {}
    for channel in channels:
        found.setdefault(channel.feed, []).append(channel)
    return found
