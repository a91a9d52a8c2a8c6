"""Finds what a feed missed, and delivers it from history."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from asgi_realtime.broker.feed import Channel, Feed, Message
from asgi_realtime.broker.redis_history import as_history
from asgi_realtime.metrics import Metrics
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.redis.state import State, new_epoch
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN

logger = logging.getLogger("asgi_realtime")

COMPARED_AT_ONCE: Final = 512
READ_AT_ONCE: Final = 64
"""Targets in one script, so that Redis serves other clients in between."""


class Comparison:
    """What Redis has of a feed's channels, compared with what was delivered."""

    def __init__(self) -> None:
        self.flushed = False
        """Whether Redis has lost everything since: its epoch is another one."""
        self.behind: list[Channel] = []
        """Something was published to these that did not arrive."""
        self.lost: list[Channel] = []
        """It cannot be known what was published to these."""

    def __bool__(self) -> bool:
        return self.flushed or bool(self.behind) or bool(self.lost)


async def compare(feed: Feed, link: Link, keys: Keys, ttl: int) -> Comparison:
    """Compare what was delivered with the numbers in Redis. `ttl` is how long history is kept, in milliseconds.

    The channels must be subscribed to on this link. A channel whose last number is not known gets that of Redis.
    """
    found = Comparison()
    checked = max(feed.checked, feed.number)
    for channels in _slices(list(feed.channels.values()), COMPARED_AT_ONCE):
        names = [keys.state, *(keys.last(channel.suffix) for channel in channels)]
        state = await run_script(link, Script.STATE, names, new_epoch(), read=State)
        if feed.epoch is None:
            feed.epoch = state.epoch
        elif feed.epoch != state.epoch:
            found.flushed = True
            feed.begin_epoch(state.epoch)
        oldest = state.now - ttl * 1_000
        for channel, number in zip(channels, state.last, strict=True):
            if channel.last is None:
                channel.last = number
            elif number > channel.last:
                found.behind.append(channel)
            elif number == channel.last:
                continue
            elif number or channel.last > oldest or checked < oldest:
                # It went back (a failover), is gone before its time (an eviction), or was away longer than history is.
                found.lost.append(channel)
        feed.checked = state.now
    return found


async def catch_up(feed: Feed, link: Link, keys: Keys, ttl: int, metrics: Metrics) -> None:
    """Deliver what the feed missed, and then what it holds. It must hold, and its channels must be subscribed to.

    Where history no longer reaches back, the receiver is told so.
    """
    found = await compare(feed, link, keys, ttl)
    missed: list[Message] = []
    for channels in _slices(found.behind, READ_AT_ONCE):
        names = [keys.state]
        for channel in channels:
            names += keys.last(channel.suffix), keys.history(channel.suffix)
        since = [channel.last or 0 for channel in channels]
        epoch, _, *answers = await run_script(link, Script.HISTORY, names, ttl, *since, read=as_history)
        assert isinstance(epoch, bytes)
        for channel, answer in zip(channels, answers, strict=True):
            if isinstance(answer, list):
                missed += _messages(channel, epoch.decode(), answer)
            else:
                found.lost.append(channel)
    if missed:
        metrics.count("broker_repaired_total", len(missed), gateway=feed.gateway)
        logger.info("%s: %d missed messages were read from history", feed.gateway, len(missed))
    everything = found.flushed or feed.overflowed or any(channel.target is None for channel in found.lost)
    for channel in found.lost:
        channel.last = None
    await _deliver(feed, missed)
    if everything or found.lost:
        metrics.count("broker_resyncs_total", gateway=feed.gateway)
        logger.warning("%s: history in Redis does not reach back; clients are told to resync", feed.gateway)
        subscriptions = [each for each in map(feed.subscription, found.lost) if each is not None]
        feed.receiver.resync(feed.gateway, None if everything else subscriptions)


async def _deliver(feed: Feed, missed: list[Message]) -> None:
    """Deliver in the order of the numbers what was read and what is held, and release the feed."""
    loop = asyncio.get_running_loop()
    # A volatile message has no number. It stays behind the message that came before it.
    places: list[tuple[int, Message]] = [(message.number, message) for message in missed]
    place = 0
    for message in feed.take_held():
        place = message.number if message.epoch else place
        places.append((place, message))
    places.sort(key=lambda each: each[0])
    until = loop.time() + SECONDS_A_TURN
    for _, group in groupby(places, key=lambda each: (each[0], each[1].number)):
        (_, first), *copies = group
        feed.deliver(first, repaired=True)
        for _, copy in copies:
            if copy.epoch and (copy.channel.last or 0) < copy.number:
                copy.channel.last = copy.number
        if loop.time() > until:
            await asyncio.sleep(0)  # others' turn
            until = loop.time() + SECONDS_A_TURN
    while held := feed.take_held():
        for message in held:
            feed.deliver(message)
        await asyncio.sleep(0)
    feed.release()


def _messages(channel: Channel, epoch: str, answer: Sequence[bytes]) -> Iterator[Message]:
    for number, data in zip(answer[::2], answer[1::2], strict=True):
        yield Message(channel, epoch, int(number), 0, data)


def _slices(channels: Sequence[Channel], size: int) -> Iterable[Sequence[Channel]]:
    return (channels[start : start + size] for start in range(0, len(channels), size))
