"""The connections of one gateway in this process, by user. Most users have one connection, which is stored as it is."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_realtime.values.ids import ConnectionId, UserId


class ConnectionTable:
    """Connections by user."""

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users: dict[UserId, ConnectionId | tuple[ConnectionId, ...]] = {}

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[UserId]:
        return iter(self._users)

    def of(self, user_id: UserId) -> tuple[ConnectionId, ...]:
        """A user's connections."""
        found = self._users.get(user_id, ())
        return found if isinstance(found, tuple) else (found,)

    def count(self, user_id: UserId) -> int:
        """How many connections a user has."""
        return len(self.of(user_id))

    def add(self, user_id: UserId, connection_id: ConnectionId) -> None:
        """Add a connection that is not in the table."""
        earlier = self.of(user_id)
        self._users[user_id] = (*earlier, connection_id) if earlier else connection_id

    def remove(self, user_id: UserId, connection_id: ConnectionId) -> bool:
        """Remove a connection. Returns False if it is not in the table."""
        earlier = self.of(user_id)
        if connection_id not in earlier:
            return False
        left = tuple(each for each in earlier if each != connection_id)
        if left:
            self._users[user_id] = left[0] if len(left) == 1 else left
        else:
            del self._users[user_id]
        return True
