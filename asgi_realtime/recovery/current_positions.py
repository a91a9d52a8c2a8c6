"""Asks for the positions of gateways, so that this process knows one that is not older than what it subscribed to."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from asgi_realtime.connection.positions import ConnectionPositions, GatewayPositions
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position


class CurrentPositions:
    """Advances positions to those of the broker. Calls of one tick share an answer.

    Args:
        gateways: the positions of each gateway.
        ask: the position of a gateway. Raises `BrokerUnavailable`.
        tasks: own the tasks.
    """

    def __init__(
        self,
        gateways: Mapping[GatewayName, GatewayPositions],
        ask: Callable[[GatewayName], Coroutine[Any, Any, Position]],
        tasks: Tasks,
    ) -> None:
        self._gateways = gateways
        self._ask = ask
        self._tasks = tasks
        self._asking: dict[GatewayName, asyncio.Task[bool]] = {}

    def start(self) -> None:
        """Begin on the running event loop."""
        self._asking.clear()

    def of(self, gateway: GatewayName) -> Callable[[], Awaitable[bool]]:
        """The function for `GatewayPositions.settle`."""
        return functools.partial(self._settle, gateway)

    def _settle(self, gateway: GatewayName) -> Awaitable[bool]:
        task = self._asking.get(gateway)
        if task is None:
            task = self._asking[gateway] = self._tasks.spawn(self._advance(gateway), name="asking for a position")
        return asyncio.shield(task)

    async def _advance(self, gateway: GatewayName) -> bool:
        del self._asking[gateway]  # who comes from now on needs a later answer
        try:
            position = await self._ask(gateway)
        except BrokerUnavailable:
            return False
        self._gateways[gateway].advance(position)
        return True


async def until_settled(positions: ConnectionPositions) -> None:
    """Return when the newest position is known.

    Raises:
        BrokerUnavailable: the broker did not answer.
    """
    settle = positions.gateway.settle
    if settle is not None and not await settle():
        raise BrokerUnavailable("the position of history is not known")
