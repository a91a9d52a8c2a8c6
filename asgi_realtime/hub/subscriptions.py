"""The subscriptions of this process at the broker: rooms, users and gateways that have connections here.

A subscription has one of these states:

- pending: the first member was added, or is about to be. The request is sent at the end of the loop's tick, together
  with the others of its gateway.
- subscribed, with members.
- subscribed without members, for `UNSUBSCRIBE_DELAY`. Then the process unsubscribes.

Only the first and the last state are stored here. Subscriptions with members are not stored, because there are as many
as rooms and users. `Members.has` says which targets have members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from typing import Final, Protocol

from asgi_realtime.broker.base import Broker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import SUBSCRIPTION_FAILURES
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Subscription, Target

UNSUBSCRIBE_DELAY = 10.0
"""Seconds from a room's last member to unsubscribing. A client that comes back within that time, because it reloads its
page, costs the broker nothing. With a longer delay the broker delivers more events that no client here receives."""
UNAVAILABLE: Final = (1013, "rooms unavailable")
"""The close code and reason for a connection whose rooms could not be subscribed to."""


class Members(Protocol):
    """The members of rooms in this process."""

    def has(self, subscription: Subscription) -> bool:
        """Whether a target has members."""

    def target_count(self) -> int:
        """How many targets have members."""

    def end_members(self, subscription: Subscription) -> None:
        """Close the members of a room whose subscription failed."""


class _PendingSubscription:
    """A subscription that is requested, or has failed while it still has members."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def has_failed(self) -> bool:
        return self.done.done()


class GatewaySubscriptions:
    """Receives the first and last members of the rooms of one gateway."""

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
    """Subscribes to targets that have members in this process, and unsubscribes from those without.

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
        meter: Meter,
        timeout: float,
        delay: float = UNSUBSCRIBE_DELAY,
    ) -> None:
        self._broker = broker
        self._members = members
        self._tasks = tasks
        self._failures = meter.counter(SUBSCRIPTION_FAILURES)
        self._timeout = timeout
        self._delay = delay
        self._pending: dict[Subscription, _PendingSubscription] = {}
        self._batch: list[Subscription] = []
        self._unsubscribe_at: dict[Subscription, float] = {}  # in the order of time: the delay is the same for all
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def __len__(self) -> int:
        """How many subscriptions this process has at the broker."""
        pending = sum(map(self._members.has, self._pending))
        return self._members.target_count() - pending + len(self._unsubscribe_at)

    @property
    def pending(self) -> int:
        """How many subscriptions are requested, or have failed while they still have members."""
        return len(self._pending)

    def is_subscribed(self, subscription: Subscription) -> bool:
        """Whether everything published to a target is delivered to this process."""
        if subscription in self._pending:
            return False
        return subscription in self._unsubscribe_at or self._members.has(subscription)

    def until_subscribed(self, subscriptions: Collection[Subscription]) -> Awaitable[None] | None:
        """An awaitable that ends when all are subscribed. None: they are already."""
        return None if all(map(self.is_subscribed, subscriptions)) else self._wait(subscriptions)

    async def _wait(self, subscriptions: Collection[Subscription]) -> None:
        """Return when all are subscribed.

        Raises:
            BrokerUnavailable: the broker did not accept one of them, or is about to stop.
        """
        while missing := [each for each in subscriptions if not self.is_subscribed(each)]:
            if self._stopped:
                raise BrokerUnavailable("the server is stopping")
            requested = [self._request(each) for each in missing]
            await asyncio.wait([pending.done for pending in requested])
            for pending in requested:
                pending.done.result()

    # What the rooms report

    def occupied(self, subscription: Subscription) -> None:
        """The first member is there."""
        if self._unsubscribe_at.pop(subscription, None) is None and subscription not in self._pending:
            self._request(subscription)

    def emptied(self, subscription: Subscription) -> None:
        """The last member has gone."""
        pending = self._pending.get(subscription)
        if pending is None:
            self._unsubscribe_later(subscription)
        elif pending.has_failed:
            del self._pending[subscription]

    # Subscribing

    def _request(self, subscription: Subscription) -> _PendingSubscription:
        pending = self._pending.get(subscription)
        if pending is None or pending.has_failed:
            pending = self._pending[subscription] = _PendingSubscription()
            self._batch.append(subscription)
            if len(self._batch) == 1:
                asyncio.get_running_loop().call_soon(self._send)
        return pending

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        # One request for each gateway: in a Redis Cluster, the server of one may be away.
        by_gateway: dict[GatewayName, list[Subscription]] = {}
        for subscription in batch:
            by_gateway.setdefault(subscription.gateway, []).append(subscription)
        for some in by_gateway.values():
            self._tasks.spawn(self._subscribe(some), name="subscribing")

    async def _subscribe(self, batch: Sequence[Subscription]) -> None:
        try:
            await run_with_timeout(self._timeout, self._broker.subscribe(batch))
        except BaseException as error:
            for subscription in batch:
                self._fail(subscription, error)
            if not isinstance(error, TimeoutError | BrokerUnavailable):
                raise
            return
        for subscription in batch:
            self._set_subscribed(subscription)

    def _set_subscribed(self, subscription: Subscription) -> None:
        pending = self._pending.pop(subscription)
        if not self._members.has(subscription):
            self._unsubscribe_later(subscription)
        pending.done.set_result(None)

    def _fail(self, subscription: Subscription, error: BaseException) -> None:
        pending = self._pending[subscription]
        if not isinstance(error, BrokerUnavailable):
            failure = BrokerUnavailable(f"the broker did not subscribe this process to a room: {error!r}")
            failure.__cause__ = error
            error = failure
        self._failures.value += 1
        pending.done.set_exception(error)
        pending.done.exception()  # avoids asyncio's warning if no caller awaits it
        # It stays in `_pending` as failed until its last member has left.
        self._members.end_members(subscription)
        if self._pending.get(subscription) is pending and not self._members.has(subscription):
            del self._pending[subscription]

    # Unsubscribing

    def _unsubscribe_later(self, subscription: Subscription) -> None:
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        self._unsubscribe_at[subscription] = loop.time() + self._delay
        if self._timer is None:
            self._timer = loop.call_later(self._delay, self._unsubscribe_expired)

    def _unsubscribe_expired(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        expired = []
        for subscription, at in self._unsubscribe_at.items():
            if at > now:
                self._timer = loop.call_at(at, self._unsubscribe_expired)
                break
            expired.append(subscription)
        else:
            self._timer = None
        for subscription in expired:
            del self._unsubscribe_at[subscription]
        if expired:
            self._tasks.spawn(self._unsubscribe(expired), name="unsubscribing")

    async def _unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        try:
            await run_with_timeout(self._timeout, self._broker.unsubscribe(subscriptions))
        except TimeoutError as error:
            what = "the broker did not answer when this process unsubscribed from rooms"
            self._tasks.failures.failed(None, what, error, about=str(len(subscriptions)))

    def stop(self) -> None:
        """Drop everything: the broker has stopped, or is about to."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unsubscribe_at.clear()
