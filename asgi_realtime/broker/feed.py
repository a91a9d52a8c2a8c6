"""What Redis sends of one gateway: in order, without gaps and without duplicates, or the receiver is told so.

Publications and commands of a gateway have one sequence of numbers. Each message carries its number, and the number of
the message before it to the same target. So a channel that missed something is noticed by its next message:

- the previous number is what was delivered last: deliver;
- the number was delivered: drop;
- otherwise a message is missing. Everything of this gateway is held, history is read, and both are delivered in order.

Held are all targets and not only the one with the gap, because a missing command may remove a user from any room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.encoding import COMMAND, decode_command, decode_publication
from asgi_realtime.redis.link import Link
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Subscription, Target

logger = logging.getLogger("asgi_realtime")

HELD_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that are held while history is read. Over: they are dropped, and the members of the rooms are told."""


class Channel:
    """One channel that this process has subscribed to, or is about to."""

    __slots__ = ("confirmed", "feed", "last", "link", "suffix", "target")

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
        commanded: called with the origin of each command and what carrying it out returned or raised.
    """

    def __init__(
        self,
        gateway: GatewayName,
        receiver: BrokerReceiver,
        *,
        repair: Callable[[Feed], None],
        commanded: Callable[[str, Awaitable[object] | Exception | None], None],
    ) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self._repair = repair
        self._commanded = commanded
        self.channels: dict[str, Channel] = {}
        """By suffix. They are subscribed to again on a new link."""
        self.epoch: str | None = None
        self.number = 0
        """The newest number that was delivered, of any channel."""
        self.checked = 0
        """The time of Redis, in microseconds, when it was last seen that nothing is missing."""
        self._volatile = -1
        self._delivered = 0
        self._held: list[Message] | None = None
        self._held_bytes = 0
        self.overflowed = False
        """Whether held messages were dropped."""
        self._released: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}

    @property
    def holding(self) -> bool:
        """Whether messages are held until missing ones were read."""
        return self._held is not None

    def hold(self) -> None:
        """Hold what comes from now on."""
        if self._held is None:
            self._held = []

    def begin_epoch(self, epoch: str) -> None:
        """Redis has begun a new history: nothing is known of it."""
        self.epoch, self.number = epoch, 0
        for channel in self.channels.values():
            channel.last = None

    # Receiving

    def receive(self, channel: Channel, payload: bytes) -> None:
        """Take a message from Redis: deliver it, hold it or drop it."""
        position, previous, data = payload.split(b":", 2)
        epoch, _, number = position.partition(b"-")
        message = Message(channel, epoch.decode(), int(number), int(previous), data)
        if self._held is not None:
            self._hold_message(message)
        elif not epoch:
            self._deliver_volatile(message)
        elif message.epoch != self.epoch or (channel.last is not None and message.previous > channel.last):
            self.hold()
            self._hold_message(message)
            self._repair(self)
        else:
            self.deliver(message)

    def _hold_message(self, message: Message) -> None:
        assert self._held is not None
        self._held_bytes += len(message.data)
        if self._held_bytes <= HELD_BYTES:
            self._held.append(message)
        elif message.epoch:
            self.overflowed = True

    def take_held(self) -> list[Message]:
        """What is held. The feed goes on holding."""
        held, self._held, self._held_bytes = self._held, [], 0
        return held or []

    def release(self) -> None:
        """Hold nothing from now on. Nothing may be held: take it and deliver it first."""
        assert not self._held
        self._held, self.overflowed = None, False
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

    def deliver(self, message: Message, *, repaired: bool = False) -> None:
        """Deliver a message, unless it was delivered. `repaired`: it was read from history, once."""
        channel = message.channel
        if not message.epoch:
            self._deliver_volatile(message)
            return
        if channel.last is not None and message.number <= channel.last:
            return
        channel.last = message.number
        if message.number <= self.number and not repaired:
            return  # a publication to several users arrives once for each of them
        self.number = max(self.number, message.number)
        self._delivered = self._hand_over(message, Position(f"{message.epoch}-{message.number}"))
        waiting = self._waiting.pop(message.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(self._delivered)

    def _deliver_volatile(self, message: Message) -> None:
        if message.number != self._volatile:
            self._volatile = message.number
            self._delivered = self._hand_over(message, None)

    def _hand_over(self, message: Message, position: Position | None) -> int:
        target = message.channel.target
        try:
            if message.data[:1] == COMMAND:
                self._apply(message.data, position)
                return 0
            if target is None:
                return 0
            publication = decode_publication(
                message.data, self.gateway, target, position=position, volatile=position is None
            )
        except msgspec.DecodeError as error:
            logger.error("%s: a message in Redis cannot be read: %s", self.gateway, error)
            return 0
        return deliver(self.receiver, publication)

    def _apply(self, data: bytes, position: Position | None) -> None:
        origin, command = decode_command(data)
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
        if self._held is not None and any(message.number == number for message in reversed(self._held)):
            return self._waiting.setdefault(number, asyncio.get_running_loop().create_future())
        return 0

    def delivered_volatile(self, number: int) -> int:
        """The same for a volatile publication."""
        return self._delivered if number == self._volatile else 0

    def subscription(self, channel: Channel) -> Subscription | None:
        """What a channel is for. None: commands."""
        return None if channel.target is None else Subscription(self.gateway, channel.target)
