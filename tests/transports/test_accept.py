"""WebSockets that are closed instead of being served."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Scope

from asgi_realtime import Settings, SocketIOGateway, WebSocketGateway
from asgi_realtime.realtime import Realtime

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
@pytest.mark.parametrize("query", ["EIO=4&transport=websocket", "EIO=3&transport=websocket"])
@pytest.mark.parametrize("path", ["/socket.io/", "/json"])
async def test_a_client_that_is_gone_before_it_was_refused_is_no_error(
    path: str, query: str, extensions: dict[str, object]
) -> None:
    realtime = Realtime(gateways=[SocketIOGateway("/"), WebSocketGateway("/json")], settings=SETTINGS)
    app = realtime.engineio if path == "/socket.io/" else realtime.websockets[path]
    scope: Scope = {
        "type": "websocket",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"api.example")] + [(b"origin", b"https://foreign.example")] * (query[4] == "4"),
        "extensions": extensions,
    }
    sent: list[Message] = []
    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "websocket.connect"})
    messages.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def send(message: Message) -> None:
        sent.append(message)
        raise OSError("the client has disconnected")

    await realtime.start()
    try:
        await app(scope, messages.get, send)
    finally:
        await realtime.stop()
    assert len(sent) == 1
