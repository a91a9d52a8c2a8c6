"""The protocol object of a WebSocket whose request a stock uvicorn has read."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Scope
from uvicorn.server import ServerState

from asgi_realtime.outbound.frames_extension import EXTENSION
from asgi_realtime.protocols.rfc6455.handshake import Upgrade
from asgi_realtime.protocols.rfc6455.parser import Parser
from asgi_realtime.uvicorn.protocol import WebSocketProtocol


class TakenWebSocket(WebSocketProtocol):
    """Takes the place of uvicorn's own object at the transport, before the WebSocket is accepted."""

    __slots__ = ()

    def __init__(self, stock: Any, upgrade: Upgrade) -> None:
        """Take the connection of one of uvicorn's own protocol objects, and its place in the server's set."""
        state = ServerState()
        state.connections, state.default_headers = stock.connections, stock.default_headers
        super().__init__(stock.config, state, {})
        self.connection_made(stock.transport)
        self.transport.set_protocol(self)
        stock.connections.discard(stock)
        assert self._cycle is not None
        self._cycle.take_over(upgrade)
        self._parser = Parser(self._server.max_message_bytes)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run an application for the WebSocket, as uvicorn would. Its scope gets the extension."""
        scope["extensions"] = {**(scope.get("extensions") or {}), EXTENSION: self}
        assert self._cycle is not None
        await self._cycle.run(app, scope)
