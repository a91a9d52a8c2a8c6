"""A broker that continues in this process while Redis is away: `MEW_ON_BROKER_DOWN=local`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Collection
from typing import Final

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.outage_take_overs import OutageTakeOvers
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.redis_publisher import Attempt, InDoubt
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import OUTAGE_QUEUE
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.values.commands import Command, TakeOver
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Newest, Position, Publication, Receipt, ReplyTo, Subscription, Target
from asgi_realtime.values.questions import NodeAnswers, Question

logger = logging.getLogger("asgi_realtime")

QUEUED: Final = 10_000
"""Most publications in the queue. Over: `BrokerUnavailable`."""
QUEUED_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of their payloads. Over: `BrokerUnavailable`."""
QUEUED_SECONDS: Final = 300.0
"""Most seconds that the first in the queue may wait. After that, further publications raise `BrokerUnavailable`."""
RETRY_AFTER: Final = 0.25
"""Seconds until a publication of the queue that Redis did not accept is sent again."""


class _Queued:
    """A publication that was delivered here, or is about to be sent."""

    __slots__ = ("answered", "attempt", "key", "origin", "publication", "since")

    def __init__(self, publication: Publication, key: str | None, origin: str, since: float) -> None:
        self.publication = publication
        self.key = key
        self.origin = origin
        self.since = since
        self.attempt = Attempt()
        self.answered = False

    @property
    def size(self) -> int:
        return len(self.publication.payload) + sum(map(len, self.publication.attachments))

    def set_answered(self) -> None:
        """Redis has answered."""
        self.answered = True


class OutageQueue:
    """A `Broker` in front of the one on Redis.

    While Redis is away, a publication is delivered to the clients of this process and queued. When Redis is back, the
    queue is published in order, and this process does not deliver it again. Until the queue is empty, newer
    publications go behind it.

    Commands are not queued: they raise, because a user who was removed would still receive on other processes. Only a
    `TakeOver` is carried out here, and sent when Redis is back, so that clients can connect.

    Args:
        broker: the one on Redis.
        timeout: seconds that Redis may take to answer, before the publication is delivered here.
    """

    needs_subscriptions = True

    def __init__(self, broker: RedisBroker, *, timeout: float, meter: Meter | None = None) -> None:
        self._broker = broker
        self._timeout = timeout
        (meter or Meter()).gauge(OUTAGE_QUEUE, lambda: len(self._queue))
        self._receiver: BrokerReceiver | None = None
        self._queue: deque[_Queued] = deque()
        self._bytes = 0
        self._delivered_here = 0
        """How many publications were delivered in this process before they had a position."""
        self._receipts: dict[tuple[GatewayName, str], Receipt] = {}
        self._failures = FailureLog()
        self._take_overs = OutageTakeOvers(broker, self._failures)
        self._filled = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many publications are queued."""
        return len(self._queue)

    @property
    def ready(self) -> bool:
        """Whether Redis is connected and delivers messages."""
        return self._broker.ready

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to connect; see `Broker.start`."""
        self._filled = asyncio.Event()
        await self._broker.start(receiver)
        self._receiver = receiver
        self._sending = new_task(self._send(), name="publishing what was queued")

    async def stop(self) -> None:
        """Stop; see `Broker.stop`. Publications that are still queued are lost, and the log says how many."""
        self._receiver = None
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
        if self._queue:
            logger.error("%d publications were not sent to other processes: Redis is away", len(self._queue))
            self._clear()
        self._take_overs.clear()
        await self._broker.stop()

    def _clear(self) -> None:
        self._queue.clear()
        self._receipts.clear()
        self._bytes = 0
        self._broker.unconfirmed.clear()

    # Publishing

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish, or deliver here and queue; see `Broker.publish`.

        Raises:
            BrokerUnavailable: the queue is full, or this is a volatile publication that Redis did not confirm.
        """
        receiver = self._running()
        if publication.volatile:
            if self._is_away():
                return self._receipt(receiver, publication)
            return await self._broker.publish(publication)
        now = asyncio.get_running_loop().time()
        queued = _Queued(publication, key, self._broker.new_origin(), now)
        if self._is_away():
            return self._deliver_here(queued)
        unconfirmed = self._broker.unconfirmed
        unconfirmed[queued.origin] = False
        sending = new_task(self._publish(queued), name="publishing")
        try:
            await asyncio.wait([sending], timeout=self._timeout)
            if sending.done() or queued.answered:
                with contextlib.suppress(BrokerUnavailable):
                    return await sending
            if queued.origin not in unconfirmed:  # it has come back, but the answer was lost
                return Receipt(position=None, delivered_locally=0, replicated=True)
        finally:
            sending.cancel()
            unconfirmed.pop(queued.origin, None)
        return self._deliver_here(queued)

    def _running(self) -> BrokerReceiver:
        if self._receiver is None:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        return self._receiver

    def _is_away(self) -> bool:
        return bool(self._queue) or not self._broker.ready

    async def _publish(self, queued: _Queued) -> Receipt:
        return await self._broker.publish_from(
            queued.publication, queued.origin, key=queued.key, attempt=queued.attempt, answered=queued.set_answered
        )

    def _deliver_here(self, queued: _Queued) -> Receipt:
        receiver, publication = self._running(), queued.publication
        key = None if queued.key is None else (publication.gateway, queued.key)
        if key is not None and key in self._receipts:
            return self._receipts[key]
        is_full = len(self._queue) >= QUEUED or self._bytes + queued.size > QUEUED_BYTES
        if is_full or (self._queue and queued.since - self._queue[0].since > QUEUED_SECONDS):
            raise BrokerUnavailable("Redis is away, and the queue is full")
        unconfirmed = self._broker.unconfirmed
        if len(unconfirmed) > 2 * QUEUED:  # the oldest are of targets that this process has not subscribed to
            del unconfirmed[next(iter(unconfirmed))]
        self._queue.append(queued)
        self._bytes += queued.size
        self._delivered_here += 1
        unconfirmed[queued.origin] = True
        self._filled.set()
        receipt = self._receipt(receiver, publication)
        if key is not None:
            self._receipts[key] = receipt
        return receipt

    def _receipt(self, receiver: BrokerReceiver, publication: Publication) -> Receipt:
        delivered = deliver(receiver, publication, self._failures)
        return Receipt(position=None, delivered_locally=delivered, replicated=False)

    async def _send(self) -> None:
        """Send what is kept, in order, when Redis is available. This never ends by an error.

        What fails by an error of its own is dropped, because it would fail again and delay everything behind it.
        """
        while True:
            await self._filled.wait()
            try:
                if self._take_overs:
                    # First, so that an older connection elsewhere gets none of the publications.
                    await self._take_overs.send_first(self._running())
                else:
                    await self._send_first(self._queue[0])
            except (BrokerUnavailable, TimeoutError):
                await asyncio.sleep(RETRY_AFTER)
            except Exception as error:
                self._failures.failed(None, "sending what was queued without Redis failed", error)
                await asyncio.sleep(RETRY_AFTER)
            if not self._queue and not self._take_overs:
                self._filled.clear()
                logger.info("Redis: everything that was queued is published")

    async def _send_first(self, queued: _Queued) -> None:
        await self._broker.until_ready(queued.publication.gateway)
        try:
            async with asyncio.timeout(self._timeout):
                await self._publish(queued)
        except InDoubt:
            queued.attempt = Attempt()  # twice is better than never: its sender was told that it will be published
            raise
        except (BrokerUnavailable, TimeoutError):
            raise
        except Exception as error:
            what, event = "a queued broadcast is not sent to other processes", queued.publication.event
            self._failures.failed(queued.publication.gateway, what, error, about=repr(event), event=event)
            await asyncio.sleep(RETRY_AFTER)  # the cause may concern all of them, and end soon
        self._queue.popleft()
        self._bytes -= queued.size
        if queued.key is not None:
            self._receipts.pop((queued.publication.gateway, queued.key), None)

    async def command(self, command: Command) -> None:
        """Have every process carry out a command; see `Broker.command`.

        Raises:
            BrokerUnavailable: Redis is away. A `TakeOver` is carried out here then, and sent later.
        """
        receiver = self._running()
        if not isinstance(command, TakeOver):
            await self._broker.command(command)
            return
        if self._broker.ready:
            with contextlib.suppress(TimeoutError, BrokerUnavailable):
                async with asyncio.timeout(self._timeout):
                    await self._broker.command(command)
                    return
            self._running()
        self._take_overs.keep(command)
        receiver.apply(command, None)
        self._filled.set()

    @property
    def node(self) -> str:
        """The id of this process."""
        return self._broker.node

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """Send an acknowledgement; see `Broker.acknowledge`."""
        self._broker.acknowledge(reply_to, values)

    async def ask(self, question: Question, *, seconds: float) -> NodeAnswers:
        """Ask every process; see `Broker.ask`."""
        return await self._broker.ask(question, seconds=seconds)

    # Subscriptions

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe; see `Broker.subscribe`. While Redis is away, this returns, and it is done when Redis is back."""
        self._running()
        if self._broker.ready:
            with contextlib.suppress(TimeoutError, BrokerUnavailable):
                async with asyncio.timeout(self._timeout):
                    await self._broker.subscribe(subscriptions)
                    return
            self._running()
        self._broker.expect(subscriptions)

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Unsubscribe; see `Broker.unsubscribe`."""
        await self._broker.unsubscribe(subscriptions)

    # History

    async def position(self, gateway: GatewayName) -> Position:
        """The newest position in the history of a gateway; see `Broker.position`."""
        return await self._broker.position(gateway)

    async def history(self, gateway: GatewayName, since: Position, targets: Collection[Target]) -> list[Publication]:
        """All publications after `since` to these targets; see `Broker.history`.

        Raises:
            BrokerUnavailable: also if something was delivered here that history does not have yet.
        """
        before = self._delivered_here
        found = await self._broker.history(gateway, since, targets)
        if self._queue or before != self._delivered_here:
            raise BrokerUnavailable("not everything that was delivered in this process is published yet")
        return found

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room; see `Broker.latest`."""
        return await self._broker.latest(gateway, room, event, since=since)

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        """The newest publications to a target, as far as Redis has them; see `Broker.recent`."""
        return await self._broker.recent(gateway, target, since=since, limit=limit)
