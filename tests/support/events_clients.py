"""Clients of Events, and the marker that shows that every sent event has arrived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgi_realtime.values.json import Json
from tests.support.node_client import Received
from tests.support.stock_client import StockClient

MARK = "MARK"


class EventsClients:
    """The clients of a test.

    Args:
        open: opens a client of a user.
        mark: broadcasts the event `MARK` to all clients.
    """

    def __init__(self, open: Callable[[str], Awaitable[StockClient]], mark: Callable[[], Awaitable[object]]) -> None:
        self._open = open
        self._mark = mark

    async def enter(self, *user_ids: str) -> list[StockClient]:
        """Open a client for each of these users, in this order."""
        return [await self._open(user_id) for user_id in user_ids]

    async def take(self, *clients: StockClient) -> list[list[Received]]:
        """The events of each client since the last call. All sent events have arrived."""
        await self._mark()
        found = []
        for client in clients:
            await client.expect(MARK)
            found.append(list(client.unread))
            client.unread.clear()
        return found


async def ask(client: StockClient, event: str, *args: Json) -> Json:
    """Send an event. Returns the only value of its acknowledgement."""
    [answer] = await client.call(event, *args)
    return answer
