"""Finds what a feed missed, and delivers it from history."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final, cast

from asgi_realtime.broker.redis_feed import Channel, Feed, Message
from asgi_realtime.broker.redis_history import History
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import BROKER_COMMANDS_LOST, BROKER_REPAIRED, BROKER_RESYNCS
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import COMMANDS, SHARED, Keys
from asgi_realtime.redis.link import Link, Reply
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.values.commands import EndAll

logger = logging.getLogger("asgi_realtime")

COMPARED_AT_ONCE: Final = 512
"""Targets in one script, so that Redis serves other clients in between."""


def begin_at(channel: Channel, number: int) -> bool:
    """Begin a channel that was just subscribed to with the number that it has in Redis.

    False: something was published to members who came before the subscription. Only a comparison reports it to them.
    """
    if channel.last is None and channel.since is None:
        if channel.expected_at is not None and number > channel.expected_at:
            return False
        channel.last = number
    return True


class Comparison:
    """What Redis has of a feed's channels, compared with what was delivered."""

    def __init__(self) -> None:
        self.everything = False
        """Whether Redis has another history than before: it was flushed, or went back."""
        self.behind: list[tuple[Channel, int]] = []
        """Something was published to these that did not arrive, and the number in Redis."""
        self.lost: list[Channel] = []
        """It cannot be known what was published to these."""
        self.new: list[tuple[Channel, int]] = []
        """Channels of which nothing is known, and the number in Redis. What is held of them is delivered."""
        self.number = 0
        """The number of the newest message at the first step. All up to here are delivered, read or held."""
        self.known = 0
        """The time of Redis, in microseconds, until which nothing was missed."""
        self.command = 0
        """The number of the newest command that only history repeats."""
        self.commands_lost = False
        """Whether commands may be missing although no channel in `lost` is for commands."""

    def lose_everything(self, feed: Feed, link: Link, epoch: str) -> None:
        """Redis has another history. Of the channels of this link, all that was published in it came on this link."""
        self.everything = True
        self.behind, self.lost = [], []
        is_new = feed.epoch != epoch
        feed.begin_epoch(epoch)
        for channel in feed.channels.values():
            if channel.target is None and is_new:
                channel.last = 0  # none of its commands was carried out here: they are read from the beginning
        self.new = [(channel, 0) for channel in feed.channels.values() if channel.link is link]


async def compare(feed: Feed, link: Link, keys: Keys, ttl: int, some: Sequence[Channel] | None = None) -> Comparison:
    """Compare what was delivered with the numbers in Redis. `ttl` is how long history is kept, in milliseconds.

    `some`: only these channels. None: all channels of the feed that are subscribed to on this link. Of the others it is
    not known what will come.

    The feed must hold.
    """
    found, whole = Comparison(), some is None
    found.known = max(feed.checked, feed.number)
    # The earliest time at which a connection became a member while this process was cut off.
    expected = min((each.expected_at for each in feed.channels.values() if each.expected_at is not None), default=None)
    if some is None:
        some = [channel for channel in feed.channels.values() if channel.link is link]
    for channels in _slices(some, COMPARED_AT_ONCE):
        names = [keys.state, *(keys.last(channel.suffix) for channel in channels)]
        state = await run_script(link, Script.STATE, names, new_epoch(), read=HistoryState)
        oldest = state.now - ttl * 1_000
        if feed.epoch is None:
            feed.begin_epoch(state.epoch)
        elif feed.epoch != state.epoch or _went_back(feed, channels, state):
            epoch = state.epoch
            if epoch == feed.epoch:
                # Its positions are not valid any longer, also for processes and clients that have not noticed.
                names = [keys.state, keys.last(COMMANDS), keys.history(COMMANDS)]
                epoch = await run_script(link, Script.RENEW, names, epoch, new_epoch(), read=_as_epoch)
            found.lose_everything(feed, link, epoch)
            # It was away longer than history is. So it may have missed commands of the history that Redis has lost.
            found.commands_lost = found.known < oldest
        found.number = found.number or state.number
        found.command = state.command
        for channel, number in zip(channels, state.last, strict=True):
            last = channel.last
            if last is None:
                if channel.target is None and expected is not None and state.command > expected:
                    found.commands_lost = True  # about connections that came while this process was cut off
                if channel.expected_at is not None and number > channel.expected_at:
                    found.lost.append(channel)  # its members came while this process was cut off
                elif channel.since is not None and number > channel.since:
                    found.behind.append((channel, number))
                    continue
                elif channel.since is not None:
                    channel.last = number
                found.new.append((channel, number))
            elif number > last:
                found.behind.append((channel, number))
            elif channel.target is None:
                if state.command > last:  # its number in Redis has expired, and so has history
                    found.lost.append(channel)
                    found.new.append((channel, number))
            elif number == last and (number or found.known >= oldest):
                continue
            elif number or last > oldest or found.known < oldest:
                # It went back (a failover), is gone before its time (an eviction), or was away longer than history is.
                found.lost.append(channel)
                found.new.append((channel, number))
        if whole:
            feed.checked = state.now
        link.clock.seen(state.now, asyncio.get_running_loop().time())
    return found


def _went_back(feed: Feed, channels: Sequence[Channel], state: HistoryState) -> bool:
    """Whether Redis was restored from data that are older than what was delivered here."""
    return state.number < feed.number or any(
        channel.last is not None and 0 < number < channel.last
        for channel, number in zip(channels, state.last, strict=True)
    )


def _as_epoch(reply: Reply) -> str:
    return cast("bytes", reply).decode()


async def catch_up(
    feed: Feed,
    link: Link,
    keys: Keys,
    ttl: int,
    meter: Meter,
    *,
    subscribe: Callable[[], Sequence[Channel]],
    whole: bool,
) -> None:
    """Deliver what the feed missed, and then what it holds, and release it.

    It must hold, and its channels must be subscribed to. Where history does not reach back, that is reported to the
    receiver before anything newer is delivered: if commands are missing, the members of rooms are not known.

    `subscribe` subscribes to `Feed.needed`, and returns the channels whose history must be read. `whole`: others may
    have missed something too.
    """
    new: list[Channel] = []
    while True:
        earlier = feed.epoch
        whole, feed.incomplete = whole or feed.incomplete, False
        new += subscribe()
        found = await compare(feed, link, keys, ttl, None if whole else new)
        missed = await _read_missed(feed, link, keys, ttl, found)
        if missed and whole:
            meter.counter(BROKER_REPAIRED, gateway=feed.gateway).value += len(missed)
            extra = log_fields(feed.gateway)
            logger.info("%s: %d missed messages were read from history", feed.gateway, len(missed), extra=extra)
        if found.everything or found.lost or found.commands_lost:
            _report_missed(feed, found, meter)
        if await _deliver(feed, missed, found, {earlier, feed.epoch}):
            feed.release()
            return
        whole = whole or found.everything


async def _read_missed(feed: Feed, link: Link, keys: Keys, ttl: int, found: Comparison) -> list[Message]:
    behind = {channel.suffix: (channel, number) for channel, number in found.behind}
    delivered = {end: channel.last for end, (channel, _) in behind.items() if channel.last is not None}
    entered = {end: channel.since for end, (channel, _) in behind.items() if end not in delivered and channel.since}
    missed: list[Message] = []
    for since, known in ((delivered, found.known), (entered, 0)):
        # Nothing newer is read: it is held, or else it may be missing in a channel that was compared before.
        history = History(since, known=known, epoch=feed.epoch, newest=found.number)
        await history.read(functools.partial(run_script, link), keys, ttl)
        epoch = history.epoch or ""
        if epoch != feed.epoch:
            found.lose_everything(feed, link, epoch)
            return []
        for end in history.lost:
            channel, number = behind[end]
            found.new.append((channel, number))
            if channel.target is not None or found.command > (channel.last or 0):
                found.lost.append(channel)
        missed += [
            Message(behind[end][0], epoch, number, 0, data)
            for end, entries in history.found.items()
            if end not in history.lost
            for number, data in entries
        ]
    return missed


def _report_missed(feed: Feed, found: Comparison, meter: Meter) -> None:
    for channel in found.lost:
        channel.last = channel.expected_at = None
    subscriptions = [each for each in map(feed.subscription, found.lost) if each is not None]
    try:
        if found.commands_lost or len(subscriptions) < len(found.lost):
            meter.counter(BROKER_COMMANDS_LOST, gateway=feed.gateway).value += 1
            _warn(
                feed,
                "commands, such as the removal of a user from a room, may be missing, and history in Redis does not "
                "reach back; clients are closed with 1012, so that they connect again",
            )
            feed.receiver.apply(EndAll(None if feed.gateway == SHARED else feed.gateway), None)
        else:
            meter.counter(BROKER_RESYNCS, gateway=feed.gateway).value += 1
            _warn(feed, "history in Redis does not reach back; clients are sent realtime:resync")
            feed.receiver.resync(feed.gateway, None if found.everything else subscriptions)
    except Exception as error:
        feed.failures.failed(feed.gateway, "telling clients that events are missing failed", error)


def _warn(feed: Feed, text: str) -> None:
    more = feed.warnings.more(text)
    if more is not None:
        logger.warning("%s: %s%s", feed.gateway, text, more, extra=log_fields(feed.gateway))


async def _deliver(feed: Feed, missed: list[Message], found: Comparison, epochs: set[str | None]) -> bool:
    """Deliver in the order of the numbers what was read and what is held.

    Returns whether the feed holds nothing now. False: something must be read first.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + SECONDS_A_TURN
    numbered = [((True, message.number), message) for message in missed]
    while True:
        held = feed.take_held()
        # A volatile message has no number. It stays behind the message that came before it.
        place = (False, 0)
        for message in held:
            if message.epoch in epochs or not message.epoch:
                place = (message.epoch == feed.epoch, message.number) if message.epoch else place
                numbered.append((place, message))
        numbered.sort(key=lambda each: each[0])
        delivered = 0
        for _, group in groupby(numbered, key=lambda each: (each[0], each[1].number)):
            copies = [message for _, message in group]
            if not feed.deliver_repaired(copies):
                rest = [message for _, message in numbered[delivered:]]
                feed.look_ahead(rest)
                again = {id(message) for message in missed}  # it is read again, with what is missing
                feed.put_back([message for message in rest if id(message) not in again])
                return False
            delivered += len(copies)
            if loop.time() > until:
                await asyncio.sleep(0)  # the event loop runs other tasks; the feed holds what comes
                until = loop.time() + SECONDS_A_TURN
        for channel, number in found.new:
            # What was dropped up to here is not missed: it came before the subscription, or clients were told.
            channel.last = max(channel.last or 0, number)
        found.new, numbered = [], []
        if feed.incomplete:
            return False
        if not feed.has_held:
            return True


def _slices(channels: Sequence[Channel], size: int) -> Iterable[Sequence[Channel]]:
    return (channels[start : start + size] for start in range(0, len(channels), size))
