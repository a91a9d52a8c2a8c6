"""Records what an application broadcasts in a test, also those that no client receives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.testing.broadcast import ANY, Broadcast, Expected, as_broadcast
from asgi_realtime.testing.deadline import real_timeout, within
from asgi_realtime.testing.mailbox import Where
from asgi_realtime.values.ids import Id
from asgi_realtime.values.publications import Publication


class BroadcastRecorder:
    """Records every broadcast of an app, from the call of `RealtimeTestClient.record` on. Delivery stays as it is.

    A broadcast that raised, or that repeated the `key` of an earlier one, is not there. What is sent to one connection
    (`connection.send`, an acknowledgement) is no broadcast: expect it at the client.

    `expect` takes the first one that fits and was not taken, as `Socket.expect` does.
    """

    def __init__(self, *, timeout: float, settle: Callable[[], Awaitable[None]]) -> None:
        self._timeout = timeout
        self._settle = settle
        self._all: list[Broadcast] = []
        self._untaken: list[Broadcast] = []
        self._news = asyncio.Event()

    @property
    def all(self) -> tuple[Broadcast, ...]:
        """Every broadcast, in order, taken or not."""
        return tuple(self._all)

    async def expect(
        self,
        event: str,
        *,
        room: Id | None = None,
        user: Id | None = None,
        to_all: bool | None = None,
        gateway: str | None = None,
        data: Any = ANY,
        where: Where | None = None,
        timeout: float | None = None,
    ) -> Broadcast:
        """Wait for a broadcast, take it, and return it. What is not given is not compared.

        Raises:
            AssertionError: it did not come within `timeout` seconds; says what came.
        """
        expected = Expected(event=event, room=room, user=user, to_all=to_all, gateway=gateway, data=data, where=where)
        found = self._take(expected)
        timeout = self._timeout if timeout is None else timeout
        try:
            async with real_timeout(timeout):
                while found is None:
                    self._news.clear()
                    await self._news.wait()
                    found = self._take(expected)
        except TimeoutError:
            raise AssertionError(f"not broadcast: {expected} {within(timeout)}: {self}") from None
        return found

    async def expect_nothing(
        self,
        event: str | None = None,
        *,
        room: Id | None = None,
        user: Id | None = None,
        to_all: bool | None = None,
        gateway: str | None = None,
        data: Any = ANY,
        where: Where | None = None,
    ) -> None:
        """Check that there is no such broadcast (without arguments: none at all) that was not taken.

        First waits until the app has handled everything that it was sent; see `RealtimeTestClient.settle`.

        Raises:
            AssertionError: there is one.
        """
        await self._settle()
        expected = Expected(event=event, room=room, user=user, to_all=to_all, gateway=gateway, data=data, where=where)
        for each in self._untaken:
            if expected.fits(each):
                raise AssertionError(f"unexpected broadcast: {each}")

    async def take_all(self) -> list[Broadcast]:
        """Take all broadcasts that were not taken yet, in order. First waits as `expect_nothing` does."""
        await self._settle()
        taken, self._untaken = self._untaken, []
        return taken

    def record(self, publication: Publication, delivered: int) -> None:
        """Record a publication that was delivered."""
        broadcast = as_broadcast(publication, delivered)
        self._all.append(broadcast)
        self._untaken.append(broadcast)
        self._news.set()

    def _take(self, expected: Expected) -> Broadcast | None:
        for index, each in enumerate(self._untaken):
            if expected.fits(each):
                return self._untaken.pop(index)
        return None

    def __str__(self) -> str:
        lines = [f"{len(self._all)} recorded, {len(self._untaken)} of them not taken:"]
        return "\n".join(lines + [f"  {each}" for each in self._untaken])


class RecordingReceiver:
    """A `BrokerReceiver` in front of the one of the application."""

    def __init__(self, receiver: BrokerReceiver, recorder: BroadcastRecorder) -> None:
        self._receiver = receiver
        self._recorder = recorder
        self.numbered = receiver.numbered
        self.apply = receiver.apply
        self.subscription_for = receiver.subscription_for
        self.resync = receiver.resync
        self.acknowledged = receiver.acknowledged
        self.answer = receiver.answer

    def deliver(self, publication: Publication) -> int:
        """Deliver, then record."""
        delivered = self._receiver.deliver(publication)
        self._recorder.record(publication, delivered)
        return delivered
