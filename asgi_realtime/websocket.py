"""JSON WebSockets: frames `{"type", "data"}`, one loop for every gateway that is a path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from asgi_realtime.catalogue import encode
from asgi_realtime.connection import Connection
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.engineio.requests import Request
from asgi_realtime.errors import ProtocolError, Refusal
from asgi_realtime.frame_transport import FrameTransport
from asgi_realtime.frame_writing import offered
from asgi_realtime.gateways.base import Parts
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Frame, Handshake, Json, Position
from asgi_realtime.origins import OriginPolicy
from asgi_realtime.outbox import Outbox
from asgi_realtime.writer import Writer

logger = logging.getLogger("asgi_realtime")

_MAX_NESTING = 64


class JSONDialect:
    """The frames of a JSON WebSocket. Binary has no place in them."""

    binary = False

    def event(
        self, event: str, payload: bytes = b"", attachments: Sequence[bytes] = (), position: Position | None = None
    ) -> Frame:
        """Wrap a payload that is JSON already (empty: none).

        Raises:
            TypeError: for a payload with `bytes` in it.
        """
        if attachments:
            raise TypeError(f"{event}: a JSON WebSocket carries no bytes; encode them, as base64 text say")
        parts = [b'{"type":', msgspec.json.encode(event)]
        if payload:
            parts += [b',"data":', payload]
        if position is not None:
            parts += [b',"offset":', msgspec.json.encode(position)]
        return Frame(b"".join((*parts, b"}")).decode())

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Wrap the only value, if any.

        Raises:
            TypeError: for several values.
        """
        if len(args) > 1:
            raise TypeError(f"{event}: a frame of a JSON WebSocket carries one value; put them into an object")
        return self.event(event, *encode(args[0] if args else None))


class _Envelope(msgspec.Struct):
    type: str
    data: Json = None


_decoder = msgspec.json.Decoder(_Envelope)
_PONG = Frame('{"type":"pong"}')
_UNAUTHENTICATED = Frame('{"type":"error","data":{"code":"UNAUTHORIZED","message":"authenticate first"}}')


def decode(text: str, limits: Limits) -> tuple[str, Json]:
    """Read a frame: its type and its data.

    Raises:
        ProtocolError: if it is no such frame.
    """
    try:
        frame = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise ProtocolError("not a JSON frame with a type") from None
    if len(frame.type) > limits.event_name_bytes or _deep(frame.data, _MAX_NESTING):
        raise ProtocolError("a frame over the limits")
    return frame.type, frame.data


def _deep(value: Json, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deep(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deep(item, levels - 1) for item in value)
    return False


class WebSocketEndpoint:
    """The ASGI application of one JSON gateway's path."""

    def __init__(self, gateway: WebSocketGateway, *, parts: Parts, origins: OriginPolicy) -> None:
        self.gateway = gateway
        self._parts = parts
        self._origins = origins
        self._clients: set[WebSocketClient] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        request = Request(scope)
        await receive()  # websocket.connect
        if not self._origins.allows(request.origin, host=request.host, scheme=request.scheme):
            await send({"type": "websocket.close", "code": 1008, "reason": "origin not allowed"})
            return
        if len(self._clients) >= self.gateway.limits.sessions:
            await send({"type": "websocket.close", "code": 1013, "reason": "too many connections"})
            return
        try:
            await send({"type": "websocket.accept"})
        except OSError:
            return
        handshake = msgspec.structs.replace(request.handshake(), gateway=self.gateway.name)
        client = WebSocketClient(self.gateway, handshake, receive, send, parts=self._parts, frames=offered(scope))
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)

    async def aclose(self) -> None:
        """Close every connection with 1012."""
        clients = tuple(self._clients)
        for client in clients:
            client.close(1012, "server restart")
        for client in clients:
            await client.done.wait()


class WebSocketClient:
    """One client on a JSON WebSocket: its transport, and its connection once it is let in.

    The token comes with the handshake, or in a first `auth` frame within `connect_timeout`. The
    answer is `auth_success` `{"userId"}`, or `auth_error` `{"message"}` and a close with 1008.
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
        self._tasks = parts.tasks
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
        self._code, self._reason, self._flush = 1000, "", True
        self._ended_by = "transport close"
        self._closing = False
        self.done = asyncio.Event()

    # For the connection

    @property
    def behind(self) -> bool:
        """Whether so much waits that volatile events should be dropped."""
        return self._outbox.behind

    def push(self, frame: Frame) -> None:
        """Write a frame to the client."""
        self._outbox.push(frame)

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket after what is queued."""
        if not self._closing:
            self._closing = True
            self._code, self._reason = code, reason
            self._ended_by = "forced close"
            self._interrupt()

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """JSON frames have no acknowledgements."""
        raise TypeError(
            f"call({event!r}): a JSON WebSocket has no acknowledgements; send an event and handle its answer"
        )

    def accept(self, connection: Connection) -> Frame | None:
        """The client is in."""
        self._connection = connection
        data = msgspec.json.encode({"userId": connection.identity.user_id})
        return self._gateway.dialect.event("auth_success", data)

    # The life of the WebSocket

    async def serve(self) -> None:
        """Serve the client to its end, whoever ends it."""
        self._writer.start()
        try:
            await self._interrupt.run(self._read())
        except ProtocolError as error:
            logger.info("%s: a client broke the protocol: %s", self._gateway.name, error)
            self._code, self._reason, self._ended_by = 1008, str(error), "parse error"
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
        if not await self._authenticate():
            return
        connection = self._connection
        assert connection is not None
        while not self._closing and (text := await self._next()) is not None:
            kind, data = decode(text, self._limits)
            if kind == "ping":
                self.push(_PONG)
            elif kind == "auth":
                self._gateway.receive(connection, "auth", [data], None)
            else:
                self._gateway.receive(connection, kind, [] if data is None else [data], None)
            await connection.inbox.ready()

    async def _authenticate(self) -> bool:
        """Let the client in by what came with the handshake, else by its first `auth` frame."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                if not self._gateway.has_credential(self._handshake) and not await self._await_token():
                    return False
        except TimeoutError:
            self._refuse("authentication timed out")
            return False
        try:
            await self._gateway.open(self._handshake, self)
        except Refusal as refusal:
            self._refuse(refusal.message)
            return False
        return True

    async def _await_token(self) -> bool:
        while (text := await self._next()) is not None:
            kind, data = decode(text, self._limits)
            if kind == "auth":
                self._handshake = msgspec.structs.replace(self._handshake, auth=data)
                return True
            self.push(_PONG if kind == "ping" else _UNAUTHENTICATED)
        return False

    def _refuse(self, message: str) -> None:
        self.push(self._gateway.dialect.event("auth_error", msgspec.json.encode({"message": message})))
        self.close(1008, message)

    async def _next(self) -> str | None:
        """The next text frame; None when the client has gone.

        Raises:
            ProtocolError: for a binary frame, or one over the limit.
        """
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self._writer.gone = True
            return None
        text: str | None = event.get("text")
        if text is None:
            raise ProtocolError("a binary frame")
        if len(text) > self._limits.message_bytes or (
            not text.isascii() and len(text.encode()) > self._limits.message_bytes
        ):
            self.close(1009, "too large")
            self._ended_by = "transport error"
            return None
        return text

    def _too_slow(self) -> None:
        self._flush = False
        if self._connection is not None:
            self._connection.end(1013, "too slow")
        self.close(1013, "too slow")
        self._ended_by = "too slow"
