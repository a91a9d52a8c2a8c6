"""What this process has subscribed to at the broker: rooms, users and gateways that have connections here.

A subscription goes through these states:

- asked: the first member has come, or is about to. It is asked for at the end of the loop's tick, together with the
  others of that tick.
- standing, with members.
- standing without members, for `UNSUBSCRIBE_DELAY`. Then the process unsubscribes.

Only the first and the last state are stored here. Standing subscriptions with members are as many as there are rooms
and users, so the members themselves say which those are (`Members.has`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Sequence
from typing import Final, Protocol

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.errors import BrokerUnavailable, PositionLost
from asgi_realtime.metrics import Metrics
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Publication, Subscription, Target

logger = logging.getLogger("asgi_realtime")

UNSUBSCRIBE_DELAY = 10.0
"""Seconds from a room's last member to unsubscribing. A client that comes back within that time, because it reloads its
page, costs the broker nothing. With a longer delay the broker delivers more events that no client here receives."""
KEPT_BYTES = 1_048_576
"""Bytes of payload that are kept for one room while its history is read. Over: as if the broker had not answered."""


UNAVAILABLE: Final = (1013, "rooms unavailable")
"""The close code and reason for a connection whose rooms could not be subscribed to."""


class Members(Protocol):
    """The members on this process, and what is to be done to them."""

    def has(self, subscription: Subscription) -> bool:
        """Whether there are any."""

    def count(self) -> int:
        """For how many subscriptions there are any."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients; how many connections that were."""

    def lose(self, subscription: Subscription) -> None:
        """Put out of the room all that a command has put there: their subscription could not be made."""


class _Asked:
    """A subscription that does not stand yet, or has failed while it still has members."""

    __slots__ = ("done", "kept", "kept_bytes", "since")

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.since: Position | None = None
        """From where history is read before it stands. None: it need not be."""
        self.kept: list[Publication] = []
        """What is delivered after that history."""
        self.kept_bytes = 0

    @property
    def has_failed(self) -> bool:
        return self.done.done()


class GatewaySubscriptions:
    """What the rooms of one gateway report their first and last members to."""

    __slots__ = ("_gateway", "_subscriptions")

    def __init__(self, subscriptions: Subscriptions, gateway: GatewayName) -> None:
        self._subscriptions = subscriptions
        self._gateway = gateway

    def occupied(self, target: Target) -> None:
        """The first member is there."""
        self._subscriptions.occupied(Subscription(self._gateway, target))

    def emptied(self, target: Target) -> None:
        """The last member has gone."""
        self._subscriptions.emptied(Subscription(self._gateway, target))


class Subscriptions:
    """Asks the broker for what has members here, and no longer for what has none.

    Only for a broker that needs subscriptions.

    Args:
        timeout: seconds the broker may take to answer. Then `BrokerUnavailable`.
        delay: see `UNSUBSCRIBE_DELAY`.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        members: Members,
        tasks: Tasks,
        metrics: Metrics,
        timeout: float,
        delay: float = UNSUBSCRIBE_DELAY,
    ) -> None:
        self._broker = broker
        self._members = members
        self._tasks = tasks
        self._metrics = metrics
        self._timeout = timeout
        self._delay = delay
        self._asked: dict[Subscription, _Asked] = {}
        self._batch: list[Subscription] = []
        self._catching_up: dict[Subscription, _Asked] = {}
        self._left: dict[Subscription, float] = {}  # in the order of time: the delay is the same for all
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def __len__(self) -> int:
        """How many subscriptions stand at the broker."""
        pending = sum(map(self._members.has, self._asked))
        return self._members.count() - pending + len(self._left)

    def stands(self, subscription: Subscription) -> bool:
        """Whether everything published there is delivered here."""
        if subscription in self._asked:
            return False
        return subscription in self._left or self._members.has(subscription)

    def standing(self, subscriptions: Collection[Subscription]) -> Awaitable[None] | None:
        """None if all of them stand; else what to await until they do."""
        return None if all(map(self.stands, subscriptions)) else self._wait(subscriptions)

    async def _wait(self, subscriptions: Collection[Subscription]) -> None:
        """Return when all of them stand.

        Raises:
            BrokerUnavailable: one of them could not be made.
        """
        while missing := [self._ask(each) for each in subscriptions if not self.stands(each)]:
            await asyncio.wait([asked.done for asked in missing])
            for asked in missing:
                asked.done.result()

    def catch_up(self, subscription: Subscription, since: Position | None) -> Awaitable[None] | None:
        """A command has put members there. What was published after it is read from history, if it could be missed.

        `since` is the command's position. Returns what to await until the subscription stands; None: it does.
        """
        asked = self._asked.get(subscription)
        if asked is None:
            return None
        if asked.since is None and since is not None:
            asked.since = since
            self._catching_up[subscription] = asked
        return asyncio.shield(asked.done)

    def keeps(self, publication: Publication) -> bool:
        """Whether a publication is delivered later: history before it is still to be read."""
        if not self._catching_up:
            return False
        asked = self._catching_up.get(Subscription(publication.gateway, publication.target))
        if asked is None:
            return False
        asked.kept_bytes += len(publication.payload) + sum(map(len, publication.attachments))
        if asked.kept_bytes <= KEPT_BYTES:
            asked.kept.append(publication)
        return True

    # What the rooms report

    def occupied(self, subscription: Subscription) -> None:
        """The first member is there."""
        if self._left.pop(subscription, None) is None and subscription not in self._asked:
            self._ask(subscription)

    def emptied(self, subscription: Subscription) -> None:
        """The last member has gone."""
        asked = self._asked.get(subscription)
        if asked is None:
            self._leave_later(subscription)
        elif asked.has_failed:
            del self._asked[subscription]

    # Subscribing

    def _ask(self, subscription: Subscription) -> _Asked:
        asked = self._asked.get(subscription)
        if asked is None or asked.has_failed:
            asked = self._asked[subscription] = _Asked()
            self._batch.append(subscription)
            if len(self._batch) == 1:
                asyncio.get_running_loop().call_soon(self._send)
        return asked

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        self._tasks.spawn(self._subscribe(batch), name="subscribing")

    async def _subscribe(self, batch: Sequence[Subscription]) -> None:
        try:
            await run_with_timeout(self._timeout, self._broker.subscribe(batch))
        except BaseException as error:
            for subscription in batch:
                self._fail(subscription, error)
            if not isinstance(error, TimeoutError | BrokerUnavailable):
                raise
            return
        behind = [subscription for subscription in batch if subscription in self._catching_up]
        for subscription in batch:
            if subscription not in self._catching_up:
                self._stand(subscription)
        await asyncio.gather(*map(self._read, behind))
        self._metrics.gauge("subscriptions", len(self))

    async def _read(self, subscription: Subscription) -> None:
        """Deliver what was published since the command that brought the members, up to now."""
        asked = self._asked[subscription]
        assert asked.since is not None
        history = self._broker.history(subscription.gateway, asked.since, [subscription.target])
        try:
            missed = await run_with_timeout(self._timeout, history)
            if asked.kept_bytes > KEPT_BYTES:
                raise BrokerUnavailable("too much was published while history was read")
        except BaseException as error:
            self._tasks.spawn(self._unsubscribe([subscription]), name="unsubscribing")
            self._fail(subscription, error)
            if not isinstance(error, TimeoutError | BrokerUnavailable | PositionLost):
                raise
            return
        del self._catching_up[subscription]
        read = {publication.position for publication in missed}
        for publication in [*missed, *(each for each in asked.kept if each.volatile or each.position not in read)]:
            deliver(self._members, publication)
        self._stand(subscription)

    def _stand(self, subscription: Subscription) -> None:
        asked = self._asked.pop(subscription)
        if not self._members.has(subscription):
            self._leave_later(subscription)
        asked.done.set_result(None)

    def _fail(self, subscription: Subscription, error: BaseException) -> None:
        asked = self._asked[subscription]
        self._catching_up.pop(subscription, None)
        if not isinstance(error, BrokerUnavailable):
            told = BrokerUnavailable(f"the broker did not subscribe this process to a room: {error!r}")
            told.__cause__ = error
            error = told
        self._metrics.count("subscription_failures_total")
        asked.done.set_exception(error)
        asked.done.exception()  # there may be nobody who waits for it
        # From here until its last member has gone it is known as one that has failed.
        self._members.lose(subscription)
        if self._asked.get(subscription) is asked and not self._members.has(subscription):
            del self._asked[subscription]

    # Unsubscribing

    def _leave_later(self, subscription: Subscription) -> None:
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        self._left[subscription] = loop.time() + self._delay
        if self._timer is None:
            self._timer = loop.call_later(self._delay, self._leave)

    def _leave(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = []
        for subscription, at in self._left.items():
            if at > now:
                self._timer = loop.call_at(at, self._leave)
                break
            due.append(subscription)
        else:
            self._timer = None
        for subscription in due:
            del self._left[subscription]
        if due:
            self._metrics.gauge("subscriptions", len(self))
            self._tasks.spawn(self._unsubscribe(due), name="unsubscribing")

    async def _unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        try:
            await run_with_timeout(self._timeout, self._broker.unsubscribe(subscriptions))
        except TimeoutError:
            logger.warning("the broker did not answer when this process unsubscribed from %d rooms", len(subscriptions))

    def stop(self) -> None:
        """Forget everything: the broker has stopped, or is about to."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._left.clear()
