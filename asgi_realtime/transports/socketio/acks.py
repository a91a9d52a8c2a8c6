"""What a client is asked to acknowledge.

Acknowledgements come after the events that a client sent before it was asked. While many of these wait for their
handlers, reading pauses; a handler that waits for an acknowledgement would wait in vain. So a transport is read on
while its client owes one, in any namespace. Events that arrive until then are bounded (`Limits.events_behind_call`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_realtime.values.json import Json

ANSWER_SECONDS = 60.0
"""How long a transport is read on for an acknowledgement that no `call` waits for: python-socketio's `call` by default
waits so long."""


class Asked:
    """What one client was asked in one namespace and has not acknowledged. Most are never asked anything."""

    __slots__ = ("answered", "beyond", "next_ack", "received", "waiting")

    def __init__(self) -> None:
        self.answered: dict[int, Callable[[list[Json]], None]] = {}
        self.waiting: dict[int, asyncio.Future[list[Json]]] = {}
        self.beyond = 0
        """Bytes of the events that were taken while more waited than `Limits.events_in_flight`, since fewer did."""
        self.next_ack = 0
        self.received = 0
        """Acknowledgements that have come, those included that came too late."""


class Asking:
    """A transport whose client owes acknowledgements."""

    __slots__ = ("unfinished", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        """When it is read as usual again, by the loop's clock, if they have not come."""
        self.unfinished = 0
        """Bytes of a packet whose attachments have yet to come."""
