"""What a `SocketIOServer` keeps for a client."""

from __future__ import annotations

from typing import Any

from asgi_realtime.runtime import time_source
from asgi_realtime.socketio.environ import wsgi_environ
from asgi_realtime.socketio.postponed_requests import PostponedRequests
from asgi_realtime.values.handshake import Handshake


class ClientState:
    """The `state` of a connection: the client's session and its WSGI-like environment."""

    __slots__ = ("connected_at", "environ", "postponed", "session")

    def __init__(self, handshake: Handshake) -> None:
        self.environ = wsgi_environ(handshake)
        self.session: dict[str, Any] = {}
        self.connected_at = time_source.wall()
        """Seconds since the epoch."""
        self.postponed: PostponedRequests | None = PostponedRequests()
        """What to send once the client is let in. None: it is."""

    @property
    def let_in(self) -> bool:
        """Whether the client is let in."""
        return self.postponed is None
