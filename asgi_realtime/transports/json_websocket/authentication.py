"""What a client sends before it is let in."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json


class Authentication:
    """The handshake of a client that is not let in yet. Its token comes with it, or in a first `auth` frame."""

    __slots__ = ("handshake", "has_token")

    def __init__(self, gateway: WebSocketGateway, handshake: Handshake) -> None:
        self.handshake = handshake
        self.has_token = gateway.has_credential(handshake)
        """Whether the client has sent its token."""

    def receive(self, gateway: WebSocketGateway, kind: str, data: Json) -> Frame | None:
        """Take a frame. Returns its answer; None: there is none, as for the token."""
        if kind == "auth":
            self.handshake = msgspec.structs.replace(self.handshake, auth=None if data is UNSET else data)
            self.has_token = True
            return None
        return gateway.pong_frame() if kind == "ping" else gateway.early_frame(kind)
