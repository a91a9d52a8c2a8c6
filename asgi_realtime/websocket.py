"""JSON WebSockets: one loop for every gateway that is a path. What is said on them is the gateway's matter."""

from __future__ import annotations

import asyncio
import functools
import logging
import weakref
from collections import Counter
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from asgi_realtime.connection import Connection
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.engineio.requests import Request
from asgi_realtime.errors import InvalidMessage, ProtocolError, Refusal, TooLarge, Unauthorized
from asgi_realtime.frame_transport import FrameTransport, Sink
from asgi_realtime.frame_writing import offered
from asgi_realtime.gateways.base import Parts
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.messages import Frame, Handshake, Json
from asgi_realtime.outbox import Outbox
from asgi_realtime.writer import Writer

logger = logging.getLogger("asgi_realtime")

_IDLE_CHECK = 60.0
"""Seconds after which a client's silence is looked at again: one that ended is not remembered for longer."""


class WebSocketEndpoint:
    """The ASGI application of one JSON gateway's path."""

    def __init__(self, gateway: WebSocketGateway, *, parts: Parts) -> None:
        self.gateway = gateway
        self._parts = parts
        self._clients: set[WebSocketClient] = set()
        self._addresses: Counter[str | None] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        request = Request(scope)
        await receive()  # websocket.connect
        if not self.gateway.origins.allows(request.origin, host=request.host, scheme=request.scheme):
            await send({"type": "websocket.close", "code": 1008, "reason": "origin not allowed"})
            return
        try:
            await send({"type": "websocket.accept"})
            if self._full(request.address):
                # Accepted first: a browser is shown the code of a close, but nothing of a refused handshake.
                await send({"type": "websocket.close", "code": 1013, "reason": "too many connections"})
                return
        except OSError:
            return
        handshake = msgspec.structs.replace(request.handshake(), gateway=self.gateway.name)
        client = WebSocketClient(self.gateway, handshake, receive, send, parts=self._parts, frames=offered(scope))
        self._clients.add(client)
        self._addresses[request.address] += 1
        try:
            await client.serve()
        finally:
            self._clients.discard(client)
            self._addresses[request.address] -= 1
            if not self._addresses[request.address]:
                del self._addresses[request.address]

    def _full(self, address: str | None) -> bool:
        limits = self.gateway.limits
        return len(self._clients) >= limits.sessions or self._addresses[address] >= limits.sessions_per_address

    async def aclose(self) -> None:
        """Close every connection with 1012."""
        clients = tuple(self._clients)
        for client in clients:
            client.close(1012, "server restart")
        for client in clients:
            await client.done.wait()


class WebSocketClient:
    """One client on a JSON WebSocket: its transport, and its connection once it is let in.

    The token comes with the handshake, or in a first `auth` frame within the gateway's
    `auth_timeout`.
    """

    def __init__(
        self,
        gateway: WebSocketGateway,
        handshake: Handshake,
        receive: Receive,
        send: Send,
        *,
        parts: Parts,
        frames: FrameTransport | None,
    ) -> None:
        self._gateway = gateway
        self._handshake = handshake
        self._receive = receive
        self._limits = gateway.limits
        self._wheel = parts.wheel
        self._clock = asyncio.get_running_loop().time
        self._outbox = Outbox(self._limits.outbox_bytes, overflow=self._too_slow)
        self._interrupt = Interrupt()
        self._writer = Writer(
            self._outbox,
            send,
            tasks=parts.tasks,
            lost=self._interrupt,
            direct=parts.settings.fast_writes,
            frames=frames,
        )
        self._connection: Connection | None = None
        self._has_token = gateway.has_credential(handshake)
        self._early = 0
        self._silent_since: float | None = None
        self._code, self._reason, self._flush = 1000, "", True
        self._ended_by = "transport close"
        self._closing = False
        self.done = asyncio.Event()

    # For the connection

    @property
    def behind(self) -> bool:
        """Whether so much waits that volatile events should be dropped."""
        return self._outbox.behind

    @property
    def direct(self) -> Sink | None:
        """Where wire bytes are written at once, while nothing waits."""
        return self._outbox.direct

    def push(self, frame: Frame) -> None:
        """Write a frame to the client."""
        self._outbox.push(frame)

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket after what is queued."""
        self._end(code, reason, "forced close")

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """JSON frames have no acknowledgements."""
        raise TypeError(
            f"call({event!r}): a JSON WebSocket has no acknowledgements; send an event and handle its answer"
        )

    def accept(self, connection: Connection) -> Frame | None:
        """The client is in."""
        self._connection = connection
        self._outbox.redirected = connection.reroute
        return self._gateway.accepted(connection)

    # The life of the WebSocket

    async def serve(self) -> None:
        """Serve the client to its end, whoever ends it."""
        self._writer.start()
        self._watch()
        try:
            await self._interrupt.run(self._read())
        finally:
            connection, self._connection = self._connection, None
            if connection is not None:
                self._gateway.closed(connection, self._ended_by)
            try:
                if not self._writer.gone:
                    await self._writer.finish(self._code, self._reason, flush=self._flush)
            finally:
                self._writer.stop()
                self._outbox.close()
                self.done.set()

    async def _read(self) -> None:
        """The loop: wait for what has to be waited for, and hand on one message after the other."""
        while True:
            if self._connection is not None:
                await self._connection.inbox.ready()
            elif self._has_token:
                await self._enter()
            if self._closing:
                return
            self._silent_since = self._clock()
            event = await self._receive()
            self._silent_since = None
            if event["type"] == "websocket.disconnect":
                self._writer.gone = True
                return
            self.received(event.get("text"))

    async def _enter(self) -> None:
        """Have the client authenticated and let in, or told why not."""
        try:
            await self._gateway.open(self._handshake, self)
        except Refusal as refusal:
            self._reject(refusal)

    def received(self, text: str | None) -> None:
        """Take one message; None: a binary one. Never waits."""
        limit = self._limits.message_bytes
        if self._connection is None:
            limit = min(limit, self._limits.handshake_bytes)
        if text is None:
            self._hostile(InvalidMessage("a binary frame"), "parse error")
            return
        if len(text) > limit or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limit):
            self._hostile(TooLarge("too large"), "transport error")
            return
        try:
            kind, data = self._gateway.wire.read(text, self._limits)
        except ProtocolError as error:
            self._hostile(InvalidMessage(str(error)), "parse error")
            return
        if self._connection is None:
            self._received_early(kind, data)
            return
        sent = [] if data is None else [data]
        if kind != "ping":
            self._gateway.receive(self._connection, kind, sent, None)
        elif self._gateway.admits(self._connection, kind, sent, None):
            self.push(self._gateway.pong())

    def _received_early(self, kind: str, data: Json) -> None:
        self._early += 1
        if kind == "auth":
            self._handshake = msgspec.structs.replace(self._handshake, auth=data)
            self._has_token = True
        elif self._early > self._limits.event_burst:
            self._hostile(Unauthorized("authenticate first"), "parse error")
        else:
            answer = self._gateway.pong() if kind == "ping" else self._gateway.early(kind)
            if answer is not None:
                self.push(answer)

    # Its ends

    def _reject(self, refusal: Refusal) -> None:
        """Not let in: say so, and close."""
        answer = self._gateway.rejected(refusal)
        if answer is not None:
            self.push(answer)
        self.close(self._gateway.close_code(refusal), refusal.message)

    def _hostile(self, refusal: Refusal, ended_by: str) -> None:
        """Nothing a client of ours would send: answer it, and close."""
        logger.info("%s: a client broke the protocol: %s", self._gateway.name, refusal.message)
        self.push(self._gateway.error(refusal, None))
        self._end(self._gateway.close_code(refusal), refusal.message, ended_by)

    def _too_slow(self) -> None:
        self._flush = False
        self._end(1013, "too slow", "too slow")  # before the connection's own end, which knows no better reason
        if self._connection is not None:
            self._connection.end(1013, "too slow")

    def _end(self, code: int, reason: str, ended_by: str) -> None:
        if not self._closing:
            self._closing = True
            self._code, self._reason, self._ended_by = code, reason, ended_by
            self._interrupt()

    # Its deadlines, on the wheel that all share

    def _watch(self) -> None:
        now, itself = self._clock(), weakref.ref(self)
        if not self._has_token:
            self._wheel.schedule(now + self._gateway.auth_timeout, functools.partial(_token_due, itself))
        if self._gateway.idle_timeout is not None:
            self._wheel.schedule(self._next_look(now), functools.partial(_look, itself))

    def token_due(self) -> None:
        """The time for the first `auth` frame is over."""
        if not self._has_token and not self._closing:
            self._reject(Unauthorized("authentication timed out"))

    def look(self, now: float) -> float | None:
        """Close a client that was silent for too long; returns when to look again.

        While it is not read from, because its events wait for their handlers, nobody knows whether it is silent.
        """
        if self._closing or self.done.is_set():
            return None
        due = self._next_look(now)
        if due > now:
            return due
        self._end(1000, "idle", "idle")
        return None

    def _next_look(self, now: float) -> float:
        assert self._gateway.idle_timeout is not None
        since = now if self._silent_since is None else self._silent_since
        return min(since + self._gateway.idle_timeout, now + _IDLE_CHECK)


def _token_due(reference: weakref.ref[WebSocketClient], now: float) -> None:
    client = reference()
    if client is not None:
        client.token_due()


def _look(reference: weakref.ref[WebSocketClient], now: float) -> float | None:
    client = reference()
    return None if client is None else client.look(now)
