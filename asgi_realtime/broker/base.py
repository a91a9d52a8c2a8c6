"""What carries publications and commands between processes, and keeps history: the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Protocol

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, Receipt


class BrokerReceiver(Protocol):
    """This process's side: what a broker hands things to, in order, on the event loop."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients in this process; how many connections that were."""

    def apply(self, command: Command) -> Awaitable[object] | None:
        """Begin a command at once. What is returned, if anything, ends when it has been carried out."""


class Broker(Protocol):
    """Numbers publications, keeps them, and gives every process the same ones in the same order.

    Every method is called on the event loop. An error of the receiver never reaches a publisher:
    the publication is in history by then, and publishing it again would double it.
    """

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to deliver to `receiver`."""

    async def stop(self) -> None:
        """Deliver nothing more. Publishing then raises `BrokerUnavailable`."""

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Number, keep (unless volatile) and deliver a publication, as one step.

        A `key` already used on this gateway within the history's time returns the first receipt and
        delivers nothing.

        Raises:
            BrokerUnavailable: nobody can say who received it.
        """

    async def command(self, command: Command) -> None:
        """Have every process carry out a command, in order with publications.

        Returns when this process has; raises what its receiver raised.
        """

    async def subscribe(self, gateway: GatewayName, room: RoomName) -> None:
        """This process has a connection in the room: returns once nothing published there can pass it by."""

    async def unsubscribe(self, gateway: GatewayName, room: RoomName) -> None:
        """This process has nobody left in the room."""

    def position(self) -> Position:
        """The newest place in history."""

    async def history(
        self, gateway: GatewayName, since: Position, *, rooms: Collection[RoomName], user_id: UserId
    ) -> list[Publication]:
        """Everything after `since` to these rooms, to this user and to all, in order and without a gap.

        Connections that a publication was kept from (`except_`) are for the caller to leave out.

        Raises:
            PositionLost: something of it may be gone, or `since` names a place in another history.
        """

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room that is still kept; with `since`, only if it is newer than that.

        Everything is newer than a place in another history.
        """
