"""The receiver of a process that only publishes."""

from __future__ import annotations

from collections.abc import Awaitable, Collection

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription
from asgi_realtime.values.questions import NodeAnswer, Question


class NoConnections:
    """The receiver of a process that only publishes. It subscribes to nothing, so nothing is ever received."""

    def deliver(self, publication: Publication) -> int:
        """There is no recipient here."""
        return 0

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """There is no connection here."""

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        """Nothing was delivered here."""

    def subscription_for(self, command: Command) -> Subscription | None:
        """There is no member here."""

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """There is no member here."""

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """Nothing here asks for acknowledgements."""

    def answer(self, question: Question) -> NodeAnswer:
        """There is nothing here."""
        return NodeAnswer()
