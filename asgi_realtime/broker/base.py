"""What carries publications and commands between processes, and keeps history: the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Protocol

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, Receipt, Subscription, Target


class BrokerReceiver(Protocol):
    """This process's side: what a broker hands things to, in order, on the event loop."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients in this process; how many connections that were."""

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Begin a command at once. What is returned, if anything, ends when it has been carried out.

        `position` is the command's place in the history of its gateway. None: it concerns no single gateway.
        """


class Broker(Protocol):
    """Numbers publications, keeps them, and gives every process the same ones in the same order.

    An answer about history (`position`, `history`, `latest`) is never ahead of what was delivered: whatever it covers
    and is subscribed to has been handed to the receiver when the answer is there.

    Every method is called on the event loop. An error of the receiver never reaches a publisher:
    the publication is in history by then, and publishing it again would double it.
    """

    @property
    def needs_subscriptions(self) -> bool:
        """Whether only what was subscribed to is delivered. False: everything is, without `subscribe`."""

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to deliver to `receiver`, commands at once and publications as soon as they are subscribed to."""

    async def stop(self) -> None:
        """Deliver nothing more, and forget every subscription. Publishing then raises `BrokerUnavailable`."""

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Number, keep (unless volatile) and deliver a publication, as one step.

        A `key` already used on this gateway within the history's time returns the first receipt and
        delivers nothing.

        Raises:
            BrokerUnavailable: it is not known who received it.
        """

    async def command(self, command: Command) -> None:
        """Have every process carry out a command, in order with publications.

        Returns when this process has; raises what its receiver raised.
        """

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Returns once all of them stand: what is published there from now on is delivered.

        Calls of `subscribe` and `unsubscribe` take effect in the order in which they were made. One
        that stands already changes nothing. If this raises, or is cancelled, none of them stands.

        Raises:
            BrokerUnavailable: at least one of them could not be made.
        """

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Have nothing more delivered of what is published there. One that does not stand changes nothing.

        Never raises `BrokerUnavailable`: a broker that is away has nothing to deliver, and when it is back
        these are not subscribed to again.
        """

    async def position(self, gateway: GatewayName) -> Position:
        """The newest place in the history of a gateway.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """

    async def history(self, gateway: GatewayName, since: Position, targets: Collection[Target]) -> list[Publication]:
        """Everything after `since` to any of these targets, in order, each once and without a gap.

        Connections that a publication was kept from (`except_`) are for the caller to leave out.

        Raises:
            PositionLost: something of it may be gone, or `since` names a place in another history.
            BrokerUnavailable: the broker did not answer.
        """

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room that is still kept; with `since`, only if it is newer than that.

        Everything is newer than a place in another history.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """
