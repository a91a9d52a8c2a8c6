"""The path of a JSON gateway: who may have a WebSocket there."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
from starlette.types import Receive, Scope, Send

from asgi_realtime.budgets import Budgets
from asgi_realtime.engineio.requests import Request
from asgi_realtime.frame_writing import offered
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.stock_hypercorn import recognise
from asgi_realtime.websocket.client import WebSocketClient
from asgi_realtime.websocket.newcomers import Newcomers


class WebSocketEndpoint:
    """The ASGI application of one JSON gateway's path."""

    def __init__(self, gateway: WebSocketGateway, *, parts: Parts) -> None:
        self.gateway = gateway
        self._parts = parts
        self._budgets = Budgets(gateway.limits, parts.metrics)
        self._clients: dict[WebSocketClient, None] = {}  # a third of what a set takes
        self._newcomers = self._nobody()
        self._over = self._forget  # one method object for all
        self._addresses: Counter[str | None] = Counter()
        self._stopping = False
        self._emptied: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        request = Request(scope)
        await receive()  # websocket.connect
        if not self._may_enter(request):
            await send({"type": "websocket.close", "code": 1008, "reason": "origin not allowed"})
            return
        frames = offered(
            scope,
            compression=self._parts.settings.compression,
            message_bytes=self.gateway.limits.message_bytes,
            control=self._budgets.control,
        )
        hypercorn = recognise(send)
        if hypercorn is not None:
            hypercorn.decline_compression()
        try:
            await send({"type": "websocket.accept"})
            # Accepted first: a browser is shown the code of a close, but nothing of a refused handshake.
            if self._stopping:
                self._parts.refusals.refused(self.gateway.name, "the server is stopping")
                await send({"type": "websocket.close", "code": 1012, "reason": "server restart"})
                return
            if self._full(request.address):
                await send({"type": "websocket.close", "code": 1013, "reason": "too many connections"})
                return
        except OSError:
            return
        handshake = request.handshake()
        name = self.gateway.name
        # Most paths are the gateway's: then one string is both, for all.
        handshake = msgspec.structs.replace(
            handshake, gateway=name, path=name if handshake.path == name else handshake.path
        )
        client = WebSocketClient(
            self.gateway,
            handshake,
            receive,
            send,
            parts=self._parts,
            budgets=self._budgets,
            newcomers=self._newcomers,
            frames=frames,
            over=self._over,
        )
        self._clients[client] = None
        self._addresses[client.address] += 1
        await client.serve()

    def _may_enter(self, request: Request) -> bool:
        refusals, gateway = self._parts.refusals, self.gateway
        if request.doubled is not None:
            refusals.refused(gateway.name, f"two {request.doubled.title()} headers")
            return False
        if not gateway.origins.allows(request.origin, host=request.host, scheme=request.scheme):
            refusals.origin(gateway.name, request.origin, request.host)
            return False
        return True

    def _nobody(self) -> Newcomers:
        return Newcomers(self._parts.wheel, self.gateway.auth_timeout)

    def _forget(self, client: WebSocketClient) -> None:
        if client not in self._clients:
            return  # of an event loop that has ended
        del self._clients[client]
        self._addresses[client.address] -= 1
        if not self._addresses[client.address]:
            del self._addresses[client.address]
        if not self._clients and self._emptied is not None:
            self._emptied.set()

    def _full(self, address: str | None) -> bool:
        limits, refusals = self.gateway.limits, self._parts.refusals
        if len(self._clients) >= limits.sessions:
            refusals.refused(self.gateway.name, "as many connections as MEW_SESSIONS allows")
            return True
        if self._addresses[address] >= limits.sessions_per_address:
            refusals.refused(self.gateway.name, "as many connections of one address as MEW_SESSIONS_PER_ADDRESS allows")
            return True
        return False

    def start(self) -> None:
        """Begin on the running event loop. Clients of a loop that ended before they did are forgotten."""
        self._clients.clear()
        self._addresses.clear()
        self._stopping = False
        self._emptied = None
        self._newcomers = self._nobody()

    async def aclose(self) -> None:
        """Close every connection with 1012, and return when all have ended; accept no more."""
        self._stopping = True
        for client in tuple(self._clients):
            client.stop()
        while self._clients:
            self._emptied = asyncio.Event()
            await self._emptied.wait()
        self._emptied = None
