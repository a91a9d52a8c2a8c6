"""A client that has claimed its session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from asgi_realtime.recovery.missed_events import those_for
from asgi_realtime.recovery.session import RecoverySession, RoomPositions
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.publications import Publication

RecoveredIdentity: TypeAlias = Callable[[Identity, Identity], Identity | None]
"""See `RecoveryRules.recovered_identity`."""


class ReturningClient:
    """A client that has claimed its session and is about to be let in."""

    __slots__ = ("identity", "missed", "owner", "pid", "rooms", "session", "start", "until")

    def __init__(self, session: RecoverySession, identity: Identity, pid: str, owner: str) -> None:
        self.session = session
        self.identity = identity
        """The user, with the credential that it has just presented."""
        self.pid = pid
        """What it has presented. It stays the same."""
        self.start = session.since
        """The position after which it has missed events."""
        self.owner = owner
        """The new connection. See `SessionStore.new_owner`."""
        self.missed: list[Publication] = []
        """What it has missed between `start` and `until`."""
        self.until = session.since
        self.rooms: RoomPositions = {}
        """The rooms that it is still in."""

    def in_rooms(self, rooms: RoomPositions) -> None:
        """It is in these rooms now. What it has missed in others is not for it."""
        if rooms != self.rooms:
            self.rooms, self.missed = rooms, those_for(self.missed, rooms)
