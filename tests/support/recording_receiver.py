"""A receiver of a broker that records what it got."""

from __future__ import annotations

from collections.abc import Awaitable, Collection

from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription
from asgi_realtime.values.questions import NodeAnswer, Question


class RecordingReceiver:
    """Has one connection in every target."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """Events of publications, and names of commands, in order."""
        self.commands: list[Command] = []
        self.resyncs: list[tuple[GatewayName, Collection[Subscription] | None]] = []

    def deliver(self, publication: Publication) -> int:
        """Record the event."""
        self.seen.append(publication.event)
        return 1

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Record the command, and its name."""
        self.commands.append(command)
        self.seen.append(type(command).__name__)
        return None

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        """Positions are not recorded."""

    def subscription_for(self, command: Command) -> Subscription | None:
        """Every target has its connection already."""
        return None

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """Record it."""
        self.resyncs.append((gateway, subscriptions))

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """Nothing is asked."""
        raise AssertionError

    def answer(self, question: Question) -> NodeAnswer:
        """No connection."""
        return NodeAnswer()
