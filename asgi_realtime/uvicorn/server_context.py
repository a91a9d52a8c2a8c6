"""What the connections of one uvicorn server share."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final, cast
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from asgi_realtime.limits import Limits
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.runtime.timers import TimerWheel

logger: Final = logging.getLogger("uvicorn.error")
"""The logger of uvicorn's own WebSocket classes."""

_contexts: WeakKeyDictionary[Config, ServerContext] = WeakKeyDictionary()


class ServerContext:
    """Settings, the set of connections that uvicorn closes when it stops, and one timer for all of them."""

    __slots__ = ("_failures", "connections", "control", "max_message_bytes", "ping_interval", "ping_timeout", "wheel")

    def __init__(self, config: Config, state: ServerState, shortest: float) -> None:
        # uvicorn's sets name the classes of its own protocols.
        self.connections = cast("set[asyncio.Protocol]", state.connections)
        self.max_message_bytes = config.ws_max_size
        limits = Limits()
        self.control = Budget("control", limits.control_rate, limits.control_burst)
        """The budget of WebSockets for which the application sets none."""
        self.ping_interval = config.ws_ping_interval or None
        """Seconds of silence after which a client is pinged. None: never."""
        self.ping_timeout = config.ws_ping_timeout or None
        """Seconds a pinged client may stay silent. None: no limit."""
        times = (shortest, self.ping_interval or shortest, self.ping_timeout or shortest)
        self.wheel = TimerWheel(tick=min(times) / 10)
        self._failures = LogLimit()

    def reader_failed(self) -> None:
        """Log the exception that is being handled, which a reader has raised."""
        more = self._failures.more(type(sys.exception()))
        if more is not None:
            logger.exception("Exception in the reader of a WebSocket%s\n", more)

    @classmethod
    def of(cls, config: Config, state: ServerState, shortest: float) -> ServerContext:
        """The context of this uvicorn server. `shortest`: the shortest of the time limits, in seconds."""
        context = _contexts.get(config)
        if context is None or context.connections is not state.connections:
            context = _contexts[config] = cls(config, state, shortest)
        return context
