"""The lost connections that are about to leave presence."""

from __future__ import annotations

import asyncio

from asgi_realtime.values.ids import ConnectionId


class Departures:
    """A client that returns is let in after its earlier connection has left presence: it counts once."""

    def __init__(self) -> None:
        self._tasks: dict[ConnectionId, asyncio.Task[None]] = {}

    def add(self, connection_id: ConnectionId, task: asyncio.Task[None]) -> None:
        """A connection leaves presence in this task."""
        self._tasks[connection_id] = task
        task.add_done_callback(lambda done: self._tasks.pop(connection_id, None))

    async def until_left(self, connection_id: ConnectionId) -> None:
        """Return when a connection has left presence."""
        task = self._tasks.get(connection_id)
        if task is not None:
            await asyncio.wait([task])
