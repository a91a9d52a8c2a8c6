"""The latest commands, for sessions that were saved before them."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectConnection,
    DisconnectMembers,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    TakeOver,
)
from asgi_realtime.values.ids import GatewayName, UserId
from asgi_realtime.values.publications import Position, ToUsers

LOGGED: Final = 10_000
"""Commands kept. A session that was saved before an older one cannot be recovered."""


class _Entry(NamedTuple):
    number: int
    command: Command
    position: Position | None


class CommandLog:
    """The latest commands that change who gets what, by user. Revocations are elsewhere: see `Revocations`."""

    def __init__(self, *, limit: int = LOGGED) -> None:
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """There were no commands."""
        self.count = 0
        """How many commands there were."""
        self._dropped = 0
        """The number of the newest command that is no longer here."""
        # By user, or under None if a command is not for certain users. A command for several users is under each.
        self._entries: dict[UserId | None, deque[_Entry]] = {}
        self._order: deque[UserId | None] = deque()

    def append(self, command: Command, position: Position | None) -> None:
        """A command is carried out. `position`: see `BrokerReceiver.apply`."""
        users = _users_of(command)
        if not users:
            return
        self.count += 1
        for user_id in users:
            self._entries.setdefault(user_id, deque()).append(_Entry(self.count, command, position))
            self._order.append(user_id)
        while len(self._order) > self._limit:
            self._drop()

    def forget(self) -> None:
        """Commands may have been missed: sessions saved until now cannot be recovered."""
        self.count += 1
        self._dropped = self.count
        self._entries.clear()
        self._order.clear()

    def since(self, count: int, gateway: GatewayName, user_id: UserId) -> list[tuple[Command, Position | None]] | None:
        """The commands that may concern a user's connection after the first `count`. None: they are not all here."""
        if count < self._dropped:
            return None
        found: list[_Entry] = []
        for key in (user_id, None):
            for entry in reversed(self._entries.get(key, ())):
                if entry.number <= count:
                    break
                found.append(entry)
        return [
            (entry.command, entry.position)
            for entry in sorted(found, key=_number)
            if concerns(entry.command, gateway, user_id)
        ]

    def _drop(self) -> None:
        user_id = self._order.popleft()
        entries = self._entries[user_id]
        self._dropped = entries.popleft().number
        if not entries:
            del self._entries[user_id]


def _number(entry: _Entry) -> int:
    return entry.number


def concerns(command: Command, gateway: GatewayName, user_id: UserId) -> bool:
    """Whether a command may concern a user's connections to a gateway."""
    users = _users_of(command)
    return getattr(command, "gateway", None) in (None, gateway) and (user_id in users or None in users)


def _users_of(command: Command) -> tuple[UserId | None, ...]:
    """The users that a command is for. None: for all. Empty: it does not change who gets what."""
    if isinstance(command, AddToRoom | RemoveFromRoom | DisconnectUser | TakeOver):
        return (command.user_id,)
    if isinstance(command, RefreshRooms) and isinstance(command.target, ToUsers):
        return command.target.user_ids
    for_all = CloseRoom | RefreshRooms | DisconnectMembers | DisconnectConnection
    return (None,) if isinstance(command, for_all) else ()
