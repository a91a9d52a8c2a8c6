"""What the WebSockets of one uvicorn server share, so that none of them carries it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from asgi_realtime.limits import Limits
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.timers import TimerWheel

logger: Final = logging.getLogger("uvicorn.error")
"""Where uvicorn writes what its own WebSockets have to say."""

_servers: WeakKeyDictionary[ServerState, Server] = WeakKeyDictionary()


class Server:
    """Settings, the set of connections that uvicorn closes when it stops, and one timer for all of them."""

    __slots__ = ("connections", "control", "max_message_bytes", "ping_interval", "ping_timeout", "wheel")

    def __init__(self, config: Config, state: ServerState, shortest: float) -> None:
        # uvicorn's sets name the classes of its own protocols.
        self.connections = cast("set[asyncio.Protocol]", state.connections)
        self.max_message_bytes = config.ws_max_size
        limits = Limits()
        self.control = Budget("control", limits.control_rate, limits.control_burst)
        """For WebSockets whose application brings no budget of its own."""
        self.ping_interval = config.ws_ping_interval or None
        """Seconds of silence after which a client is asked whether it is there; None: it never is."""
        self.ping_timeout = config.ws_ping_timeout or None
        """Seconds it may take to say anything then; None: for ever."""
        times = (shortest, self.ping_interval or shortest, self.ping_timeout or shortest)
        self.wheel = TimerWheel(tick=min(times) / 10)

    @classmethod
    def of(cls, config: Config, state: ServerState, shortest: float) -> Server:
        """The one that belongs to this uvicorn server. `shortest`: seconds of the shortest time limit there is."""
        server = _servers.get(state)
        if server is None:
            server = _servers[state] = cls(config, state, shortest)
        return server
