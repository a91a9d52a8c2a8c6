"""The client's end of a WebSocket, on the ASGI interface."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Scope

from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.testing.wire import ABNORMAL, Closed, WireListener, WireRefused


class WebSocketWire:
    """A WebSocket on which the application is running."""

    def __init__(self, app: ASGIApp, scope: Scope, listener: WireListener) -> None:
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
        self._task = new_task(self._serve(), name=f"WebSocket under test: {self._scope['path']}")
        try:
            await self._answer
        except WireRefused:
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
            return self._incoming[0]  # also for later calls
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
                self._answer.set_exception(WireRefused(403, b""))
            case "websocket.http.response.start":
                self._refusal_status = message["status"]
            case "websocket.http.response.body":
                if not message.get("more_body", False):
                    self._answer.set_exception(WireRefused(self._refusal_status, message.get("body", b"")))
