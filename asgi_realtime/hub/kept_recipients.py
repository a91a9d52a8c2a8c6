"""The recipients of broadcasts to several rooms or users, kept for the next broadcast to the same ones."""

from __future__ import annotations

from typing import Final

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.recipients import SortedRecipients
from asgi_realtime.values.publications import Target

_LISTS: Final = 16
_CONNECTIONS: Final = 100_000
"""How many connections the lists of a gateway may have in total. More are not kept."""


class KeptRecipients:
    """A few lists, the oldest of which is dropped for a new one. All are dropped when any membership changes.

    A room keeps its own list. Several rooms have none in common, and a change of one of them is a change here.
    """

    __slots__ = ("_by_target", "_size")

    def __init__(self) -> None:
        self._by_target: dict[Target, SortedRecipients] = {}
        self._size = 0

    def get(self, target: Target) -> SortedRecipients | None:
        """The list of a target, if it is kept."""
        return self._by_target.get(target) if self._by_target else None

    def keep(self, target: Target, connections: tuple[InternalConnection, ...]) -> SortedRecipients:
        """Make the list of a target, and keep it."""
        recipients = SortedRecipients(connections)
        if len(connections) <= _CONNECTIONS:
            while len(self._by_target) >= _LISTS or self._size + len(connections) > _CONNECTIONS:
                self._drop_one(next(iter(self._by_target)))
            self._by_target[target] = recipients
            self._size += len(connections)
        return recipients

    def _drop_one(self, target: Target) -> None:
        recipients = self._by_target.pop(target)
        # A batch may still have the list, which gets no later signals. It is sorted again before it is delivered.
        recipients.sink_changed()
        self._size -= len(recipients)

    def drop(self) -> None:
        """Drop all lists: a connection has come, gone, or changed its rooms."""
        while self._by_target:
            self._drop_one(next(iter(self._by_target)))

    def sink_changed(self) -> None:
        """The sink of a connection has changed. It may be in any list."""
        for recipients in self._by_target.values():
            recipients.sink_changed()
