"""A broker that continues in this process while Redis is away: `MEW_ON_BROKER_DOWN=local`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from typing import Final

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.link_queue import LinkQueue, Queued
from asgi_realtime.broker.redis import RedisBroker
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
"""Most publications in all queues of the process together. Over: `BrokerUnavailable`."""
QUEUED_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of their payloads, together. Over: `BrokerUnavailable`."""
QUEUED_SECONDS: Final = 300.0
"""Most seconds that the first in a queue may wait. After that, further publications of the gateways of its link raise
`BrokerUnavailable`."""


class OutageQueue:
    """A `Broker` in front of the one on Redis.

    While Redis is away, a publication is delivered to the clients of this process and queued. When Redis is back, the
    queue is published in order, and this process does not deliver it again. Until the queue is empty, newer
    publications go behind it.

    Each link has a queue: in a Redis Cluster, a server that is away concerns only the gateways that are there.

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
        (meter or Meter()).gauge(OUTAGE_QUEUE, lambda: len(self))
        self._receiver: BrokerReceiver | None = None
        self._queues: dict[GatewayName, LinkQueue] = {}
        """By the names of links."""
        self._failures = FailureLog()

    def __len__(self) -> int:
        """How many publications are queued."""
        return sum(map(len, self._queues.values()))

    @property
    def ready(self) -> bool:
        """Whether all links to Redis are up and deliver messages."""
        return self._broker.ready

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to connect; see `Broker.start`."""
        await self._broker.start(receiver)
        self._receiver = receiver

    async def stop(self) -> None:
        """Stop; see `Broker.stop`. Publications that are still queued are lost, and the log says how many."""
        self._receiver = None
        queued = len(self)
        for queue in self._queues.values():
            await queue.stop()
        self._queues.clear()
        if queued:
            logger.error("%d publications were not sent to other processes: Redis is away", queued)
            self._broker.unconfirmed.clear()
        await self._broker.stop()

    # Publishing

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish, or deliver here and queue; see `Broker.publish`.

        Raises:
            BrokerUnavailable: the queue is full, or this is a volatile publication that Redis did not confirm.
        """
        receiver, queue = self._running(), self._queue_of(publication.gateway)
        is_away = bool(queue) or self._broker.links.is_away(publication.gateway)
        if publication.volatile:
            if is_away:
                return self._receipt(receiver, publication)
            return await self._broker.publish(publication)
        now = asyncio.get_running_loop().time()
        queued = Queued(publication, key, self._broker.new_origin(), now)
        if is_away:
            return self._deliver_here(queued)
        unconfirmed = self._broker.unconfirmed
        unconfirmed[queued.origin] = False
        sending = new_task(queue.publish(queued), name="publishing")
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

    def _queue_of(self, gateway: GatewayName) -> LinkQueue:
        link = self._broker.links.link_name(gateway)
        queue = self._queues.get(link)
        if queue is None:
            queue = self._queues[link] = LinkQueue(
                self._broker, self._running(), link, timeout=self._timeout, failures=self._failures
            )
        return queue

    def _deliver_here(self, queued: Queued) -> Receipt:
        receiver, key = self._running(), queued.receipt_key
        queue = self._queue_of(queued.publication.gateway)
        if key is not None and key in queue.receipts:
            return queue.receipts[key]
        waiting = sum(each.bytes for each in self._queues.values())
        is_full = len(self) >= QUEUED or waiting + queued.size > QUEUED_BYTES
        if is_full or (queue.since is not None and queued.since - queue.since > QUEUED_SECONDS):
            raise BrokerUnavailable("Redis is away, and the queue is full")
        unconfirmed = self._broker.unconfirmed
        if len(unconfirmed) > 2 * QUEUED:  # the oldest are of targets that this process has not subscribed to
            del unconfirmed[next(iter(unconfirmed))]
        queue.add(queued)
        unconfirmed[queued.origin] = True
        receipt = self._receipt(receiver, queued.publication)
        if key is not None:
            queue.receipts[key] = receipt
        return receipt

    def _receipt(self, receiver: BrokerReceiver, publication: Publication) -> Receipt:
        delivered = deliver(receiver, publication, self._failures)
        return Receipt(position=None, delivered_locally=delivered, replicated=False)

    async def command(self, command: Command) -> None:
        """Have every process carry out a command; see `Broker.command`.

        Raises:
            BrokerUnavailable: Redis is away. A `TakeOver` is carried out here then, and sent later.
        """
        receiver = self._running()
        if not isinstance(command, TakeOver):
            await self._broker.command(command)
            return
        if not self._broker.links.is_away(command.gateway):
            with contextlib.suppress(TimeoutError, BrokerUnavailable):
                async with asyncio.timeout(self._timeout):
                    await self._broker.command(command)
                    return
        queue = self._queue_of(command.gateway)
        queue.take_overs.keep(command)
        receiver.apply(command, None)
        queue.send()

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
        links = self._broker.links
        by_link: dict[GatewayName, list[Subscription]] = {}
        for subscription in subscriptions:
            by_link.setdefault(links.link_name(subscription.gateway), []).append(subscription)
        await asyncio.gather(*(self._subscribe(link, some) for link, some in by_link.items()))

    async def _subscribe(self, link: GatewayName, subscriptions: Collection[Subscription]) -> None:
        if not self._broker.links.is_away(link):
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

    async def history(
        self, gateway: GatewayName, since: Position, targets: Collection[Target], *, most_bytes: int | None = None
    ) -> list[Publication]:
        """All publications after `since` to these targets; see `Broker.history`.

        Raises:
            BrokerUnavailable: also if something was delivered here that history does not have yet.
        """
        queue = self._queue_of(gateway)
        before = queue.delivered_here
        found = await self._broker.history(gateway, since, targets, most_bytes=most_bytes)
        if queue or before != queue.delivered_here:
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
