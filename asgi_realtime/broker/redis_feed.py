"""What Redis sends of one gateway: in order and without duplicates. A gap is filled, or reported to the receiver.

Publications and commands of a gateway have one sequence of numbers. Each message carries its number, and the number of
the message before it to the same target. So the next message shows that a channel missed something:

- the previous number is what was delivered last: deliver;
- the number was delivered: drop;
- otherwise a message is missing. Everything of this gateway is held, history is read, and both are delivered in order.

All targets are held, not only the one with the gap, because a missing command may remove a user from any room.

A command may put clients into a room that this process has not subscribed to. It is held too, with all that follows,
until the process has subscribed and what was published to the room since the command is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.encoding import Decode, decode_command, origin_of
from asgi_realtime.redis.keys import suffixes
from asgi_realtime.redis.link import Link
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Subscription, Target

HELD_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that are held while history is read. Over: what comes is dropped, and history is read again. Then twice as
much is held as came during the last reading, so that catching up ends although others publish all the time."""
HELD_AT_MOST: Final = 64 * 1024 * 1024
"""Most bytes after that growth."""
SEVERAL_KEPT: Final = 1_000
"""Publications to several users or rooms that a feed keeps. Each has several copies: a cut may come between them."""


class Channel:
    """One channel that this process has subscribed to, or is about to."""

    __slots__ = ("callers", "confirmed", "entered", "expected_at", "feed", "last", "link", "since", "suffix", "target")

    def __init__(self, feed: Feed, suffix: str, target: Target | None) -> None:
        self.feed = feed
        self.suffix = suffix
        self.target = target
        """None: the channel of commands."""
        self.last: int | None = None
        """The number of the last message that was delivered. None: not known yet, the next message is accepted."""
        self.link: Link | None = None
        """The link that SUBSCRIBE was sent on."""
        self.confirmed: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        """Done when Redis has subscribed this process. None: it has."""
        self.callers = 0
        """How many calls wait for that."""
        self.expected_at: int | None = None
        """It may have members already, while Redis is away: the time of Redis until which nothing was missed before
        they came. None: it has none until it is confirmed, or what they missed was reported."""
        self.since: int | None = None
        """The number of the command that adds its first members. What was published after it is read from history."""
        self.entered = False
        """Whether a command has added members, and a call of `subscribe` follows. Until then, it stays."""

    def confirm(self) -> None:
        """Redis has subscribed this process."""
        confirmed, self.confirmed = self.confirmed, None
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a channel."""

    channel: Channel
    epoch: str
    """Empty: it is volatile."""
    number: int
    previous: int
    data: bytes


class Feed:
    """Delivers the messages of one gateway to the receiver.

    Args:
        repair: called when a message is missing; the feed holds messages until `release`.
        subscribe: called when a command needs channels first, see `needed`; the feed holds messages until `release`.
        commanded: called with the origin of each command and what carrying it out returned or raised.
        unconfirmed: by origin, what this process publishes, until it comes. True: delivered while Redis was away.
        decode: reads a publication.
        failures: logs what fails.
    """

    def __init__(
        self,
        gateway: GatewayName,
        receiver: BrokerReceiver,
        *,
        repair: Callable[[Feed], None],
        subscribe: Callable[[Feed], None],
        commanded: Callable[[str, Awaitable[object] | Exception | None], None],
        unconfirmed: dict[str, bool],
        decode: Decode,
        failures: FailureLog,
    ) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self.failures = failures
        self.warnings = LogLimit()
        """Limits the lines about what clients have missed."""
        self._repair = repair
        self._subscribe = subscribe
        self._commanded = commanded
        self._unconfirmed = unconfirmed
        self._decode = decode
        self.channels: dict[str, Channel] = {}
        """By suffix. They are subscribed to again on a new link."""
        self.epoch: str | None = None
        self.number = 0
        """The newest number that was delivered, of any channel."""
        self.checked = 0
        """The time of Redis, in microseconds, when it was last seen that nothing is missing."""
        self.lock = asyncio.Lock()
        """Held by the task that repairs this feed."""
        self.needed: dict[Target, int] = {}
        """What held commands add members to, without a channel in sequence, and the number of the first command."""
        self.ahead: set[Channel] = set()
        """The channels that were subscribed to for held commands. Those that get no members are removed."""
        self._volatile = -1
        self._delivered = 0
        self._held: list[Message] | None = None
        self._held_bytes = 0  # with those that were dropped
        self._most_held = 0  # bytes, if more than HELD_BYTES
        self.incomplete = False
        """Whether messages are missing from what is held: it was too much, or there is a gap."""
        self._gap = 0
        self._several: dict[int, None] = {}
        self._released: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}

    @property
    def holding(self) -> bool:
        """Whether messages are held until missing ones were read."""
        return self._held is not None

    @property
    def has_held(self) -> bool:
        """Whether a message is held, or was dropped."""
        return bool(self._held) or self.incomplete

    def hold(self) -> None:
        """Hold what comes from now on."""
        if self._held is None:
            self._held = []

    def begin_epoch(self, epoch: str) -> None:
        """Redis has another history: nothing is known of it."""
        self.epoch, self.number = epoch, 0
        for channel in self.channels.values():
            channel.last = channel.since = None

    # Receiving

    def receive(self, channel: Channel, payload: bytes) -> None:
        """Take a message from Redis: deliver it, hold it or drop it."""
        try:
            position, previous, data = payload.split(b":", 2)
            epoch, _, number = position.partition(b"-")
            message = Message(channel, epoch.decode(), int(number), int(previous), data)
        except ValueError as error:
            self._drop_unreadable(error)
            return
        if self._held is not None:
            self._hold_message(message)
        elif not epoch:
            self._deliver_volatile(message)
        elif (message.epoch != self.epoch and self.epoch is not None) or _follows_gap(message):
            self.hold()
            self._hold_message(message)
            self._repair(self)
        else:
            self.deliver(message)

    def _drop_unreadable(self, error: Exception) -> None:
        """Drop what is not from this package. It may come at any rate."""
        self.failures.failed(self.gateway, "a message in Redis cannot be read", error, traceback=False)

    def _hold_message(self, message: Message) -> None:
        assert self._held is not None
        self._held_bytes += len(message.data)
        if self._held_bytes <= max(HELD_BYTES, self._most_held):
            self._held.append(message)
        else:
            self.incomplete = True

    def take_held(self) -> list[Message]:
        """What is held. The feed continues to hold, more than before if messages were dropped."""
        if self.incomplete:
            self._most_held = min(2 * self._held_bytes, HELD_AT_MOST)
        held, self._held, self._held_bytes = self._held, [], 0
        return held or []

    def look_ahead(self, messages: Iterable[Message]) -> None:
        """Add to `needed` what these commands need, up to the first gap. They are in order, and not delivered yet."""
        number: int | None = None
        for message in messages:
            if message.channel.target is None and message.epoch == self.epoch:
                if message.previous > (message.channel.last or 0 if number is None else number):
                    return
                number = message.number
                self._lacks_channel(message)

    def put_back(self, messages: list[Message]) -> None:
        """Hold these again, before what has come since."""
        assert self._held is not None
        self._held[:0] = messages
        self._held_bytes += sum(len(message.data) for message in messages)

    def release(self) -> None:
        """Hold nothing from now on. Nothing may be held: take it and deliver it first."""
        assert not self.has_held
        self._held, self._most_held = None, 0
        self.needed.clear()
        self._end_waits()

    def stop(self) -> None:
        """End what waits for a delivery."""
        self._end_waits()

    def _end_waits(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            if not each.done():
                each.set_result(0)  # it was published before this process had subscribed
        released, self._released = self._released, None
        if released is not None:
            released.set_result(None)

    async def until_released(self) -> None:
        """Return when the feed holds nothing."""
        if self._held is not None:
            if self._released is None:
                self._released = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._released)

    # Delivering

    def deliver(self, message: Message) -> None:
        """Deliver a message that came in order, unless it was delivered."""
        channel = message.channel
        if channel.last is not None and message.number <= channel.last:
            return
        if channel.target is None and self._lacks_channel(message):
            self.hold()
            self._hold_message(message)
            self._subscribe(self)
            return
        channel.last = message.number
        if message.number == self.number:
            return  # a publication to several users or rooms comes once for each of them
        self._deliver_numbered(message)

    def deliver_repaired(self, copies: Sequence[Message]) -> bool:
        """Deliver a message that was read from history or held, or both, unless it was delivered.

        False: a message before it is missing (see `incomplete`), or it is a command that needs a channel first (see
        `needed`).
        """
        first = copies[0]
        if not first.epoch:
            self._deliver_volatile(first)
            return True
        new = [message for message in copies if self._is_new(message)]
        if first.number != self._gap and any(map(_follows_gap, new)):
            self._gap = first.number  # the second time, Redis has lost what is missing
            self.incomplete = True
            return False
        # The history of an earlier epoch is gone: the members were sent `realtime:resync` in its place.
        if first.channel.target is None and first.epoch == self.epoch and self._lacks_channel(first):
            return False
        for message in new:
            message.channel.last = message.number
        if new and first.number != self.number and first.number not in self._several:
            self._deliver_numbered(new[-1])
        return True

    def _is_new(self, message: Message) -> bool:
        """Whether a channel is subscribed to, and has not delivered a message."""
        channel = message.channel
        return self.channels.get(channel.suffix) is channel and (channel.last is None or message.number > channel.last)

    def _lacks_channel(self, message: Message) -> bool:
        """Whether a command adds members to a target without a channel in sequence. It is in `needed` then."""
        if message.channel.last is not None and message.number <= message.channel.last:
            return False  # it was carried out
        try:
            _, command = decode_command(message.data)
        except msgspec.DecodeError:
            return False
        subscription = self.receiver.subscription_for(command)
        if subscription is None:
            return False
        channel = self.channels.get(suffixes(subscription.target)[0])
        if channel is not None and (channel.last is not None or channel.since is not None):
            return False
        self.needed.setdefault(subscription.target, message.number)
        return True

    def _deliver_numbered(self, message: Message) -> None:
        number = self.number = message.number
        self._delivered = self._hand_over(message, Position(f"{message.epoch}-{number}"))
        if self._waiting:
            waiting = self._waiting.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(self._delivered)

    def _deliver_volatile(self, message: Message) -> None:
        if message.number != self._volatile:
            self._volatile = message.number
            self._delivered = self._hand_over(message, None)

    def _hand_over(self, message: Message, position: Position | None) -> int:
        target = message.channel.target
        try:
            if self._unconfirmed and self._unconfirmed.pop(origin_of(message.data), False):
                self._keep_several(message)
                if position is not None:
                    self.receiver.numbered(self.gateway, position)
                return 0
            if target is None:
                self._apply(message.data, position)
                return 0
            publication = self._decode(message.data, self.gateway, target, position, position is None)
        except msgspec.DecodeError as error:
            self._drop_unreadable(error)
            return 0
        if publication.target is not target and position is not None:
            self._keep_several(message)
        return deliver(self.receiver, publication, self.failures)

    def _keep_several(self, message: Message) -> None:
        self._several[message.number] = None
        if len(self._several) > SEVERAL_KEPT:
            del self._several[next(iter(self._several))]

    def _apply(self, data: bytes, position: Position | None) -> None:
        origin, command = decode_command(data)
        subscription = self.receiver.subscription_for(command)
        channel = None if subscription is None else self.channels.get(suffixes(subscription.target)[0])
        if channel is not None:
            channel.entered = True
            self.ahead.discard(channel)
        try:
            outcome: Awaitable[object] | Exception | None = self.receiver.apply(command, position)
        except Exception as error:
            outcome = error
        self._commanded(origin, outcome)

    # Receipts

    def delivered(self, number: int) -> int | asyncio.Future[int]:
        """To how many connections here the publication with this number was delivered.

        To be called when the reply to the publication has come. The copy comes directly before it, if this process has
        subscribed. A future: the copy is held.
        """
        if number == self.number:
            return self._delivered
        if self._held is not None and self._holds(number):
            return self._waiting.setdefault(number, asyncio.get_running_loop().create_future())
        return 0

    def _holds(self, number: int) -> bool:
        """Whether a message is held. The newest are looked at: the copy comes directly before the reply."""
        for message in reversed(self._held or ()):
            if message.epoch:
                return message.number == number
        return False

    def delivered_volatile(self, number: int) -> int:
        """The same for a volatile publication."""
        return self._delivered if number == self._volatile else 0

    def subscription(self, channel: Channel) -> Subscription | None:
        """What a channel is for. None: commands."""
        return None if channel.target is None else Subscription(self.gateway, channel.target)


def _follows_gap(message: Message) -> bool:
    """Whether the message before it, to the same target, was not delivered."""
    channel = message.channel
    last = channel.expected_at if channel.last is None else channel.last
    return last is not None and message.previous > last
