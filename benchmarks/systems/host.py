"""A host app with one route, without and with this package's middleware."""

from __future__ import annotations

from fastapi import FastAPI

from asgi_realtime import RealtimeMiddleware, SocketIOGateway, WebSocketGateway
from benchmarks.systems import own


def _host() -> FastAPI:
    app = FastAPI()

    @app.get("/channels/{channel_id}")
    async def channel(channel_id: int) -> dict[str, int]:
        return {"id": channel_id}

    return app


alone = _host()
wrapped = RealtimeMiddleware(_host(), gateways=[SocketIOGateway("/"), WebSocketGateway("/room")], settings=own.settings)
