"""Reports to the host which messages were delivered, in batches. Deliveries do not wait for the reports."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.systems.chat.service import Delivery

_BATCH = 1_000
"""Maximum number of deliveries reported in one call."""
_WAITING = 100_000
"""Maximum number of deliveries that wait to be reported. Then the oldest are dropped: those messages come again."""


class Deliveries:
    """Reports deliveries in order, one call at a time. A call that fails is logged and not repeated."""

    def __init__(self, messages_delivered: HostCall, *, gateway: WebSocketGateway) -> None:
        """`messages_delivered` is the service's method. A call may take the gateway's `handler_timeout`."""
        self._messages_delivered = messages_delivered
        self._gateway = gateway
        self._waiting: deque[Delivery] = deque()
        self._unreported: Counter[str] = Counter()
        self._reporting = False
        self._progress: asyncio.Future[None] | None = None
        self.loop = asyncio.get_running_loop()
        """The event loop that it was made on, and works on."""

    def add(self, delivery: Delivery) -> None:
        """Add a delivery to the next report."""
        if len(self._waiting) == _WAITING:
            self._settle(self._waiting.popleft())
        self._waiting.append(delivery)
        self._unreported[delivery.user_id] += 1
        if not self._reporting:
            self._reporting = True
            self._gateway.run_in_background("deliveries", self._report(), awaited=True)  # by `reported`

    async def reported(self, user_id: str) -> None:
        """Return when every delivery to this user was reported, or its report has failed."""
        while self._reporting and user_id in self._unreported:
            if self._progress is None:
                self._progress = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._progress)

    async def _report(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                try:
                    async with asyncio.timeout(self._gateway.limits.handler_timeout):
                        await self._messages_delivered(batch)
                except (Exception, asyncio.CancelledError, SystemExit) as error:
                    if _is_cancelled():
                        raise
                    # Those messages will be delivered again.
                    about = f"deliveries: {len(batch)}"
                    self._gateway.log_failure("messages_delivered failed", error, about=about)
                for delivery in batch:
                    self._settle(delivery)
                self._advance()
        finally:
            self._reporting = False
            self._advance()

    def _settle(self, delivery: Delivery) -> None:
        self._unreported[delivery.user_id] -= 1
        if not self._unreported[delivery.user_id]:
            del self._unreported[delivery.user_id]

    def _advance(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.set_result(None)


def _is_cancelled() -> bool:
    """Whether the current task is cancelled. If not, a `CancelledError` is that of a future which the host awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
