"""The end of a relay that has the session: it serves the request as an ASGI request of this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.types import Message, Receive, Scope, Send

from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.transports.engineio.relay.messages import (
    ACCEPT,
    BYTES,
    CLOSE,
    RESPONSE,
    TEXT,
    Open,
    Response,
    encode,
    encode_close,
)
from asgi_realtime.transports.engineio.relay.pipe import Pipe

RelayedApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[object]]
"""The ASGI application that serves relayed requests. What it returns is for a server, and not used."""


def scope_of(opened: Open) -> Scope:
    """The ASGI scope of a relayed request."""
    transport = "websocket" if opened.websocket else "polling"
    headers = [(b"host", opened.host), (b"origin", opened.origin)]
    return {
        "type": "websocket" if opened.websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": opened.http_version,
        "method": opened.method,
        "scheme": opened.scheme,
        "path": "/",  # no session is opened by this request
        "query_string": f"EIO=4&transport={transport}&sid={opened.session}".encode(),
        "headers": [(name, value.encode("latin-1")) for name, value in headers if value is not None],
        "client": None if opened.address is None else (opened.address, 0),
        "extensions": {"websocket.http.response": {}} if opened.websocket else {},
    }


class RelayedRequest:
    """Serves one HTTP request that another process relays."""

    __slots__ = ("_body", "_more", "_pipe", "_start", "answered")

    def __init__(self, opened: Open, pipe: Pipe) -> None:
        self._pipe = pipe
        self._body: bytes | None = opened.body
        self._more = opened.more_body
        self._start: Message = {}
        self.answered = False
        """Whether the whole answer was sent."""

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        body, self._body = self._body, None
        if body is None:
            event = await self._pipe.receive()
            if event is None:
                return {"type": "http.disconnect"}
            self._more, body = event.data[:1] == b"+", event.data[1:]
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """ASGI's `send`. The answers of a session have one piece."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        response = Response(self._start["status"], self._start["headers"], message["body"])
        await self._pipe.send(RESPONSE, encode(response))
        self.answered = True


class RelayedWebSocket:
    """Serves one WebSocket that another process relays."""

    __slots__ = ("_connected", "_pipe", "_start", "answered")

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._connected = False
        self._start: Message = {}
        self.answered = False
        """Whether it was refused. After that the relay is over at both ends."""

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        event = await self._pipe.receive()
        if event is None:
            return {"type": "websocket.disconnect", "code": 1006}
        if event.kind == TEXT:
            return {"type": "websocket.receive", "text": event.data.decode()}
        return {"type": "websocket.receive", "bytes": event.data}

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        kind = message["type"]
        if kind == "websocket.send":
            text = message.get("text")
            if text is None:
                await self._pipe.send(BYTES, message["bytes"])
            else:
                await self._pipe.send(TEXT, text.encode())
        elif kind == "websocket.accept":
            await self._pipe.send(ACCEPT, b"")
        elif kind == "websocket.close":
            await self._pipe.send(CLOSE, encode_close((message.get("code", 1000), message.get("reason") or "")))
        elif kind == "websocket.http.response.start":
            self._start = message
        else:
            await self._pipe.send(RESPONSE, encode(Response(self._start["status"], [], message["body"])))
            self.answered = True


async def serve_relayed(app: RelayedApp, opened: Open, pipe: Pipe, failures: FailureLog) -> bool:
    """Serve a relayed request. True: it was answered, and the relay is over at the other end too."""
    request = RelayedWebSocket(pipe) if opened.websocket else RelayedRequest(opened, pipe)
    try:
        await app(scope_of(opened), request.receive, request.send)
    except OSError:
        pass  # the other end has gone
    except Exception as error:
        failures.failed(None, "a relayed request failed", error)
    return request.answered
