"""What the namespaces of one `SocketIOServer` share."""

from __future__ import annotations

import asyncio
import logging

from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.socketio.handlers import Handlers
from asgi_realtime.socketio.observer import Observer


class ServerState:
    """The handlers, observers and logger of a server, for each of its namespaces."""

    __slots__ = ("handlers", "logger", "loop", "observers", "warnings")

    def __init__(self, logger: logging.Logger) -> None:
        self.handlers = Handlers()
        self.observers: list[Observer] = []
        self.logger = logger
        self.warnings = LogLimit()
        """Limits the lines that clients or the application can repeat, in all namespaces together."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that serves the clients. None: no client has connected yet."""

    @property
    def active_observers(self) -> list[Observer]:
        """The observers that are to be called now."""
        return [observer for observer in self.observers if observer.active]
