"""What waits for one link to Redis while it is away, with `MEW_ON_BROKER_DOWN=local`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

import hiredis

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.outage_take_overs import OutageTakeOvers
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.redis_publisher import Attempt, InDoubt
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Publication, Receipt

logger = logging.getLogger("asgi_realtime")

RETRY_AFTER: Final = 0.25
"""Seconds until a publication of the queue that Redis did not accept is sent again."""


class Queued:
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
        """Bytes of its payloads."""
        return len(self.publication.payload) + sum(map(len, self.publication.attachments))

    @property
    def receipt_key(self) -> tuple[GatewayName, str] | None:
        """Names its receipt. None: it has no idempotency key."""
        return None if self.key is None else (self.publication.gateway, self.key)

    def set_answered(self) -> None:
        """Redis has answered."""
        self.answered = True


class LinkQueue:
    """Sends what was queued for the gateways of one link, in order, when the link is up.

    Args:
        broker: the one on Redis.
        receiver: asked whether the connections of take-overs are open.
        link: the name of the link.
        timeout: seconds that Redis may take to answer.
        failures: logs what cannot be sent.
    """

    def __init__(
        self, broker: RedisBroker, receiver: BrokerReceiver, link: GatewayName, *, timeout: float, failures: FailureLog
    ) -> None:
        self._broker = broker
        self._receiver = receiver
        self._link = link
        self._timeout = timeout
        self._failures = failures
        self._queue: deque[Queued] = deque()
        self._sending: asyncio.Task[None] | None = None
        """Runs while something is queued."""
        self.bytes = 0
        """Bytes of the payloads of what is queued."""
        self.delivered_here = 0
        """How many publications were delivered in this process before they had a position."""
        self.receipts: dict[tuple[GatewayName, str], Receipt] = {}
        """Those of queued publications with an idempotency key."""
        self.take_overs = OutageTakeOvers(broker, failures)

    def __len__(self) -> int:
        """How many publications are queued."""
        return len(self._queue)

    @property
    def since(self) -> float | None:
        """When the first one was published, by the event loop's clock. None: nothing is queued."""
        return self._queue[0].since if self._queue else None

    def add(self, queued: Queued) -> None:
        """Queue a publication that is about to be delivered here."""
        self._queue.append(queued)
        self.bytes += queued.size
        self.delivered_here += 1
        self.send()

    def send(self) -> None:
        """Send what is queued, and the take-overs, as soon as the link is up."""
        if self._sending is None:
            self._sending = new_task(self._send(), name="publishing what was queued")

    async def stop(self) -> None:
        """Drop everything. Returns when nothing is being sent."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        self._queue.clear()
        self.receipts.clear()
        self.bytes = 0
        self.take_overs.clear()

    async def publish(self, queued: Queued) -> Receipt:
        """Publish without waiting in the queue.

        Raises:
            InDoubt: history no longer says whether it was published.
            BrokerUnavailable: Redis is away, or refused.
        """
        return await self._broker.publish_from(
            queued.publication, queued.origin, key=queued.key, attempt=queued.attempt, answered=queued.set_answered
        )

    async def _send(self) -> None:
        """Send what is queued. No error ends this earlier.

        What fails by an error of its own is dropped, because it would fail again and hold back everything behind it.
        """
        try:
            while self._queue or self.take_overs:
                try:
                    await self._broker.until_ready(self._link)
                    if self.take_overs:
                        # First, so that an older connection elsewhere gets none of the publications.
                        await self.take_overs.send_first(self._receiver)
                    else:
                        await self._send_first(self._queue[0])
                except (BrokerUnavailable, TimeoutError):
                    await asyncio.sleep(RETRY_AFTER)
                except Exception as error:
                    self._failures.failed(None, "sending what was queued without Redis failed", error)
                    await asyncio.sleep(RETRY_AFTER)
            logger.info("Redis: everything that was queued is published")
        finally:
            self._sending = None

    async def _send_first(self, queued: Queued) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self.publish(queued)
        except InDoubt:
            queued.attempt = Attempt()  # twice is better than never: its sender was told that it will be published
            raise
        except TimeoutError:
            raise
        except Exception as error:
            if isinstance(error, BrokerUnavailable) and not _has_foreign_key(error):
                raise
            what, event = "a queued broadcast is not sent to other processes", queued.publication.event
            self._failures.failed(queued.publication.gateway, what, error, about=repr(event), event=event)
            await asyncio.sleep(RETRY_AFTER)  # the cause may concern all of them, and end soon
        self._queue.popleft()
        self.bytes -= queued.size
        if queued.receipt_key is not None:
            self.receipts.pop(queued.receipt_key, None)


def _has_foreign_key(error: BrokerUnavailable) -> bool:
    """Whether a key of the history is not this package's, so that Redis refuses this publication and takes others."""
    refusal = error.__cause__
    return isinstance(refusal, hiredis.ReplyError) and "WRONGTYPE" in str(refusal)
