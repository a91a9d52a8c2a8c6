"""The Engine.IO sessions of a process, and what is counted of them."""

from __future__ import annotations

from collections import Counter

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import ENGINEIO_SESSIONS, ENGINEIO_SESSIONS_CLOSED, ENGINEIO_SESSIONS_OPENED
from asgi_realtime.transports.engineio.session import Session


class SessionTable:
    """The sessions by id, those included that are being closed."""

    def __init__(self, meter: Meter) -> None:
        self.by_id: dict[str, Session] = {}
        self._addresses: Counter[str | None] = Counter()
        self._transports: Counter[str] = Counter()
        self._opened = meter.counters(ENGINEIO_SESSIONS_OPENED, "transport")
        self._closed = meter.counters(ENGINEIO_SESSIONS_CLOSED, "reason")
        for transport in ENGINEIO_SESSIONS.labels["transport"]:
            self._declare_gauge(meter, transport)

    def _declare_gauge(self, meter: Meter, transport: str) -> None:
        meter.gauge(ENGINEIO_SESSIONS, lambda: self._transports[transport], transport=transport)

    def __len__(self) -> int:
        return len(self.by_id)

    def clear(self) -> None:
        """Drop all sessions: their event loop has ended."""
        self.by_id.clear()
        self._addresses.clear()
        self._transports.clear()

    def of_address(self, address: str | None) -> int:
        """How many sessions a client's address has."""
        return self._addresses[address]

    def add(self, session: Session) -> None:
        """A session was opened."""
        self.by_id[session.id] = session
        self._addresses[session.handshake.client_address] += 1
        self._transports[session.transport] += 1
        self._opened.add(session.transport)

    def upgraded(self) -> None:
        """A WebSocket has taken over a session that was polling."""
        self._transports["polling"] -= 1
        self._transports["websocket"] += 1

    def remove(self, session: Session, reason: str) -> bool:
        """A session has ended. False: it was of an event loop that has ended."""
        if self.by_id.pop(session.id, None) is None:
            return False
        address = session.handshake.client_address
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        self._transports[session.transport] -= 1
        self._closed.add(reason)
        return True
