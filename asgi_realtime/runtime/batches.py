"""Closes many clients a batch at a time, so that they do not all reconnect to other processes in the same moment."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

AT_ONCE: Final = 100
"""Clients that are closed at once. An application with fewer stops without a delay."""
PAUSE: Final = 0.1
"""Seconds between two batches: 1,000 clients per second."""

T = TypeVar("T")


class Client(Protocol):
    """A client that can be told to reconnect."""

    def stop(self) -> None:
        """Close it with 1012. Does nothing if it has ended."""


async def close_in_batches(clients: Sequence[T], close: Callable[[T], object], *, seconds: float) -> None:
    """Close all clients. Batches are larger than `AT_ONCE` if it would take longer than `seconds`."""
    batches = max(1, int(seconds / PAUSE))
    size = max(AT_ONCE, math.ceil(len(clients) / batches))
    for start in range(0, len(clients), size):
        if start:
            await asyncio.sleep(PAUSE)
        for client in clients[start : start + size]:
            close(client)
