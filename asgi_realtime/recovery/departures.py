"""The lost and refused connections that are about to leave presence."""

from __future__ import annotations

import asyncio

from asgi_realtime.values.ids import ConnectionId


class Departures:
    """A client that returns is let in after its earlier connection has left presence: it counts once."""

    def __init__(self) -> None:
        self._leaving: dict[ConnectionId, asyncio.Future[None]] = {}

    def add(self, connection_id: ConnectionId, left: asyncio.Future[None]) -> None:
        """A connection leaves presence. `left` is done when it has."""
        self._leaving[connection_id] = left
        left.add_done_callback(lambda done: self._leaving.pop(connection_id, None))

    def refuse(self, connection_id: ConnectionId) -> None:
        """A connection is about to be refused. `refused` is called when it has left presence."""
        if connection_id not in self._leaving:  # two other processes may ask for it
            self.add(connection_id, asyncio.get_running_loop().create_future())

    def refused(self, connection_id: ConnectionId) -> None:
        """A connection was refused. Its session is kept again, if it had one."""
        left = self._leaving.get(connection_id)
        if left is not None:
            left.set_result(None)

    async def until_left(self, connection_id: ConnectionId) -> None:
        """Return when a connection has left presence."""
        left = self._leaving.get(connection_id)
        if left is not None:
            await asyncio.wait([left])
