"""Telling the host who has got what: in batches, beside the deliveries, which never wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from asgi_realtime.gateways.chat_service import Delivery, OfflineMessages
from asgi_realtime.gateways.handlers import call_host
from asgi_realtime.tasks import Tasks

logger = logging.getLogger("asgi_realtime")

_BATCH = 1_000
"""Deliveries reported in one call."""
_WAITING = 100_000
"""Deliveries that may wait to be reported. Then the oldest are forgotten: those users get their messages again."""


class Deliveries:
    """Reports deliveries to the host, in order, one call at a time. One that fails is logged, and not repeated."""

    def __init__(self, service: OfflineMessages, *, tasks: Tasks, timeout: float) -> None:
        self._service = service
        self._tasks = tasks
        self._timeout = timeout
        self._waiting: deque[Delivery] = deque(maxlen=_WAITING)
        self._reporting = False
        self._noted = 0
        self._reported = 0
        self._progress: asyncio.Future[None] | None = None

    def note(self, delivery: Delivery) -> None:
        """Have a delivery reported soon."""
        self._noted += 1
        self._waiting.append(delivery)
        if not self._reporting:
            self._reporting = True
            self._tasks.spawn(self._report(), name="deliveries")

    async def reported(self) -> None:
        """Return when the host knows of everything noted before this call, or has failed to take it in."""
        noted = self._noted
        while self._reporting and self._reported < noted:
            if self._progress is None:
                self._progress = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._progress)

    async def _report(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                try:
                    async with asyncio.timeout(self._timeout):
                        await call_host(self._service.messages_delivered, batch)
                except Exception:
                    logger.exception("messages_delivered failed: %d deliveries will be repeated", len(batch))
                # Counted from behind, because some may have been forgotten.
                self._reported = self._noted - len(self._waiting)
                self._advance()
        finally:
            self._reporting = False
            self._advance()

    def _advance(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.set_result(None)
