"""The path of a JSON gateway: accepts and refuses WebSockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection

import msgspec
from starlette.types import Receive, Scope, Send

from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.metrics.declarations import REFUSED_CONNECTIONS
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.transports.accept import accept_websocket, close_websocket
from asgi_realtime.transports.json_websocket.auth_deadlines import AuthDeadlines
from asgi_realtime.transports.json_websocket.peer import JSONPeer
from asgi_realtime.transports.request import Request
from asgi_realtime.transports.websocket_carrier import CarrierOptions


class WebSocketEndpoint:
    """The ASGI application of one JSON gateway's path."""

    def __init__(self, gateway: WebSocketGateway, *, context: GatewayContext) -> None:
        self.gateway = gateway
        self.context = context
        self.limits = gateway.limits
        self.budgets = Budgets(gateway.limits, context.meter)
        self.carrier_options = CarrierOptions(
            gateway.limits,
            fast_writes=context.settings.fast_writes,
            control=self.budgets.control,
            tasks=context.tasks,
        )
        self.auth_deadlines = AuthDeadlines(context.wheel, gateway.auth_timeout)
        self._peers: dict[JSONPeer, None] = {}  # takes a third of the memory of a set
        self._addresses: Counter[str | None] = Counter()
        self._refused = context.meter.counters(REFUSED_CONNECTIONS, "reason", gateway=gateway.name)
        self._stopping = False
        self._emptied: asyncio.Event | None = None

    @property
    def peers(self) -> Collection[JSONPeer]:
        """The clients of this process, those included that are being closed."""
        return self._peers.keys()

    @property
    def addresses(self) -> Collection[str | None]:
        """The addresses of these clients, each once."""
        return self._addresses.keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        request = Request(scope)
        await receive()  # websocket.connect
        if not self._may_enter(request):
            await close_websocket(send, 1008, "origin not allowed")
            return
        try:
            frames = await accept_websocket(
                scope,
                send,
                compression=self.context.settings.compression,
                message_bytes=self.limits.message_bytes,
                control=self.budgets.control,
            )
        except OSError:
            return
        # Accepted first: a page gets the code of a close, but no reason for a refused handshake.
        if self._stopping:
            self.context.refusals.refused(self.gateway.name, "the server is stopping")
            await close_websocket(send, 1012, "server restart")
            return
        if self._full(request.address):
            self._refused.add("FULL")
            await close_websocket(send, 1013, "too many connections")
            return
        handshake = request.handshake(self.context.tracing)
        name = self.gateway.name
        # Most paths are the gateway's: then one string is both, for all.
        handshake = msgspec.structs.replace(
            handshake, gateway=name, path=name if handshake.path == name else handshake.path
        )
        peer = JSONPeer(self, handshake, receive, send, frames)
        self._peers[peer] = None
        self._addresses[peer.address] += 1
        await peer.serve()

    def _may_enter(self, request: Request) -> bool:
        refusals, gateway = self.context.refusals, self.gateway
        if request.duplicate_header is not None:
            refusals.refused(gateway.name, f"two {request.duplicate_header.title()} headers")
            return False
        if not gateway.origins.allows(request.origin, host=request.host, scheme=request.scheme):
            refusals.origin(gateway.name, request.origin, request.host)
            self._refused.add("ORIGIN")
            return False
        return True

    def peer_ended(self, peer: JSONPeer) -> None:
        """Remove a client that is gone."""
        if peer not in self._peers:
            return  # of an event loop that has ended
        del self._peers[peer]
        self._addresses[peer.address] -= 1
        if not self._addresses[peer.address]:
            del self._addresses[peer.address]
        if not self._peers and self._emptied is not None:
            self._emptied.set()

    def _full(self, address: str | None) -> bool:
        limits, refusals = self.limits, self.context.refusals
        if len(self._peers) >= limits.sessions:
            refusals.refused(self.gateway.name, "as many connections as MEW_SESSIONS allows")
            return True
        if self._addresses[address] >= limits.sessions_per_address:
            refusals.refused(self.gateway.name, "as many connections of one address as MEW_SESSIONS_PER_ADDRESS allows")
            return True
        return False

    def start(self) -> None:
        """Begin on the running event loop. Clients of a loop that ended first are dropped."""
        self._peers.clear()
        self._addresses.clear()
        self._stopping = False
        self._emptied = None
        self.auth_deadlines = AuthDeadlines(self.context.wheel, self.gateway.auth_timeout)

    def refuse_clients(self) -> None:
        """Accept no more clients. Those that are there are served."""
        self._stopping = True

    async def aclose(self) -> None:
        """Close every connection with 1012, and return when all have ended; accept no more."""
        self.refuse_clients()
        for peer in tuple(self._peers):
            peer.stop()
        while self._peers:
            self._emptied = asyncio.Event()
            await self._emptied.wait()
        self._emptied = None
