"""The client's end of a WebSocket, and of Engine.IO long-polling, on the ASGI interface."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from typing import Any, NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Scope

NO_STATUS = 1005
ABNORMAL = 1006
"""What RFC 6455, section 7.4.1, calls a close without a code, and an end without a close."""


class Closed(NamedTuple):
    """How a connection ended: a WebSocket close code (1005: none was given; 1006: no close at all) and a reason."""

    code: int
    reason: str = ""


class Refused(Exception):
    """The application refused the transport: an HTTP status and the response's body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class Listener(Protocol):
    """Who is told what happens on a wire."""

    def received(self, message: str | bytes) -> None:
        """A message came."""

    def ended(self, closed: Closed, error: BaseException | None) -> None:
        """Nothing comes any more; `error` is what the application raised."""


class Wire(Protocol):
    """A transport: messages to the application, in order, and the end."""

    @property
    def idle(self) -> bool:
        """Whether the application has taken everything and waits for more (or has ended)."""

    async def until_idle(self) -> None:
        """Return at a time when it is idle."""

    async def open(self) -> None:
        """Connect. Raises `Refused`, or what the application raised."""

    def send(self, message: str | bytes) -> None:
        """Send a message."""

    async def close(self, code: int) -> None:
        """End the connection from this side, and wait until the application is done with it."""


class WebSocketWire:
    """A WebSocket on which the application is running."""

    def __init__(self, app: ASGIApp, scope: Scope, listener: Listener) -> None:
        self._app = app
        self._scope = scope
        self._listener = listener
        self._incoming: deque[Message] = deque([{"type": "websocket.connect"}])
        self._arrival = asyncio.Event()
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refusal_status = 403
        self._closed: Closed | None = None
        self._gone = False
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether the application waits for a message, or has ended."""
        return self._idle.is_set()

    async def until_idle(self) -> None:
        """Return when the application waits for a message, or has ended."""
        await self._idle.wait()

    async def open(self) -> None:
        """Connect, and wait for the answer."""
        self._task = asyncio.create_task(self._serve(), name=f"WebSocket under test: {self._scope['path']}")
        try:
            await self._answer
        except Refused:
            await self._task
            raise

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""
        kind = "text" if isinstance(message, str) else "bytes"
        self._put({"type": "websocket.receive", kind: message})

    async def close(self, code: int) -> None:
        """Close, with `ABNORMAL` as if the network was lost."""
        if self._task is None:
            return
        self._gone = True
        self._put({"type": "websocket.disconnect", "code": code, "reason": ""})
        await self._task

    def _put(self, message: Message) -> None:
        self._incoming.append(message)
        if self._task is not None and not self._task.done():
            self._idle.clear()
        self._arrival.set()

    async def _serve(self) -> None:
        error: BaseException | None = None
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as raised:
            error = raised
        finally:
            if not self._answer.done():
                self._answer.set_exception(error or RuntimeError("the application answered nothing"))
            else:
                self._listener.ended(self._closed or Closed(ABNORMAL), error)
            self._idle.set()

    async def _receive(self) -> Message:
        while not self._incoming:
            self._idle.set()
            self._arrival.clear()
            await self._arrival.wait()
        if self._incoming[0]["type"] == "websocket.disconnect":
            return self._incoming[0]  # again, however often it is asked for
        return self._incoming.popleft()

    async def _send(self, message: Message) -> None:
        if self._gone or self._closed is not None:
            raise OSError("the client is gone")
        match message["type"]:
            case "websocket.accept":
                self._answer.set_result(None)
            case "websocket.send":
                text = message.get("text")
                self._listener.received(message["bytes"] if text is None else text)
            case "websocket.close" if self._answer.done():
                self._closed = Closed(message.get("code", 1000), message.get("reason") or "")
                self._put({"type": "websocket.disconnect", "code": self._closed.code, "reason": self._closed.reason})
            case "websocket.close":
                self._answer.set_exception(Refused(403, b""))
            case "websocket.http.response.start":
                self._refusal_status = message["status"]
            case "websocket.http.response.body":
                if not message.get("more_body", False):
                    self._answer.set_exception(Refused(self._refusal_status, message.get("body", b"")))


class PollingWire:
    """Engine.IO long-polling: a GET that waits for packets, and POSTs that bring them."""

    def __init__(self, app: ASGIApp, scope: Scope, listener: Listener) -> None:
        self._app = app
        self._scope = scope
        self._listener = listener
        self._outgoing: list[str] = []
        self._gone = asyncio.Event()
        self._left = False
        self._polling = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._poster: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether everything was posted, and a poll waits at the application."""
        return (self._poster is None or self._poster.done()) and self._polling.is_set()

    async def until_idle(self) -> None:
        """Return when everything was posted, and a poll waits (or there are no more)."""
        while not self.idle:
            if self._poster is not None:
                await asyncio.wait([self._poster])
            await self._polling.wait()

    async def open(self) -> None:
        """Make the handshake, and begin to poll."""
        status, body = await self._request("GET")
        if status != 200:
            raise Refused(status, body)
        opening = body.decode().partition("\x1e")[0]
        self._scope["query_string"] += b"&sid=" + json.loads(opening[1:])["sid"].encode()
        self._take(body)
        self._poller = asyncio.create_task(self._poll(), name="Engine.IO polls under test")

    def send(self, message: str | bytes) -> None:
        """Post a packet, with those that wait already."""
        self._outgoing.append(message if isinstance(message, str) else "b" + base64.b64encode(message).decode("ascii"))
        if self._poster is None or self._poster.done():
            self._poster = asyncio.create_task(self._post(), name="Engine.IO POSTs under test")

    async def close(self, code: int) -> None:
        """Post a close packet, or with `ABNORMAL` abort the poll as if the network was lost."""
        if self._poller is None:
            return
        if code != ABNORMAL and not self._poller.done():
            self._left = True
            self.send("1")
        if self._poster is not None:
            await self._poster
        if code == ABNORMAL:
            self._gone.set()
        await self._poller

    async def _poll(self) -> None:
        closed, error = Closed(ABNORMAL), None
        try:
            while not self._gone.is_set():
                status, body = await self._request("GET")
                if self._take(body) if status == 200 else self._left:
                    closed = Closed(NO_STATUS)
                    break
                if status != 200:
                    break
        except Exception as raised:
            error = raised
        finally:
            self._listener.ended(closed, error)
            self._polling.set()

    def _take(self, body: bytes) -> bool:
        """Hand over the packets of a payload. True: one of them was the close."""
        for packet in body.decode().split("\x1e"):
            if packet == "1":
                return True
            self._listener.received(base64.b64decode(packet[1:]) if packet.startswith("b") else packet)
        return False

    async def _post(self) -> None:
        while self._outgoing:
            body = "\x1e".join(self._outgoing).encode()
            self._outgoing.clear()
            await self._request("POST", body)

    async def _request(self, method: str, body: bytes = b"") -> tuple[int, bytes]:
        """Make one HTTP request. An aborted one has status 0."""
        received: dict[str, Any] = {"status": 0, "body": b""}
        sent = False

        async def receive() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            if method == "GET":
                self._polling.set()
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                if method == "GET":
                    self._polling.clear()
                received["status"] = message["status"]
            elif message["type"] == "http.response.body":
                received["body"] += message.get("body", b"")

        await self._app({**self._scope, "method": method}, receive, send)
        return received["status"], received["body"]
