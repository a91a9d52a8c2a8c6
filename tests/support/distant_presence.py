"""A presence behind a simulated network: calls and announcements are delayed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.presence.base import Announce
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId
from tests.support.distant_broker import Line


class DistantPresence:
    """A `Presence` that keeps its counts in a `MemoryPresence` behind a simulated network.

    Calls take effect in the order in which they were made, after turns of the event loop that come from `seed`.
    """

    def __init__(self, server: MemoryPresence, *, seed: int = 0) -> None:
        self.server = server
        chance = random.Random(seed)
        self.failing: set[str] = set()
        """Names of methods that raise as soon as a call reaches the server."""
        self.requests = Line(chance)
        self.receiving = Line(chance)

    async def start(
        self,
        offline: Announce,
        online: Callable[[GatewayName, UserId], None] | None = None,
    ) -> None:
        def announce(gateway: GatewayName, user_id: UserId) -> asyncio.Future[Any]:
            announced: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def call() -> None:
                announcing = offline(gateway, user_id)
                if announcing is None:
                    announced.set_result(None)
                else:
                    announcing.add_done_callback(lambda _: announced.set_result(None))

            self.receiving.put(call)
            return announced

        def came_online(gateway: GatewayName, user_id: UserId) -> None:
            if online is not None:
                self.receiving.put(lambda: online(gateway, user_id))

        await self.server.start(announce, came_online)

    def users_here(self, gateway: GatewayName) -> int:
        return self.server.users_here(gateway)

    async def stop(self) -> None:
        await self.server.stop()
        self.receiving.cut()

    async def join(
        self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId, *, limit: int | None = None
    ) -> bool:
        await self._reach("join")
        first = await self.server.join(gateway, user_id, connection_id, limit=limit)
        await self.receiving.passed()
        return first

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        await self._reach("leave")
        await self.server.leave(gateway, user_id, connection_id)
        await self.receiving.passed()

    async def online(self, gateway: GatewayName) -> set[UserId]:
        await self._reach("online")
        online = await self.server.online(gateway)
        await self.receiving.passed()
        return online

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        await self._reach("is_online")
        online = await self.server.is_online(gateway, user_id)
        await self.receiving.passed()
        return online

    async def _reach(self, name: str) -> None:
        await self.requests.passed()
        if name in self.failing:
            raise BrokerUnavailable(f"{name}: the server is gone")
