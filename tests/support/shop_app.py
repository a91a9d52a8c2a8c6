"""A shop, for tests of `asgi_realtime.testing`: gateways of both dialects, routes, and a dependency."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException

from asgi_realtime import (
    Broadcaster,
    BrokerUnavailable,
    Connection,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
    on,
)

SECRET = "only for tests: thirty-two bytes!"


class ShopGateway(SocketIOGateway):
    """Every client is in `orders`, where a note goes to all but its author."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("orders")

    async def on_offline(self, user_id: str) -> None:
        await self.broadcaster.broadcast_to_room("orders", "LEFT", user_id)

    @on("note")
    async def note(self, text: str, connection: Connection) -> int:
        await self.broadcaster.broadcast_to_room("orders", "NOTE", text, except_=connection.id)
        return len(text)

    @on("pay", once="id")
    async def pay(self, id: str, identity: Identity) -> None:
        await self.broadcaster.broadcast_to_user(identity.user_id, "PAID", id)

    @on("wait")
    async def wait(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "waited"


async def current_user() -> str:
    raise HTTPException(401)


def make_app(settings: Settings | None = None) -> FastAPI:
    """The app. Settings None: those of the environment."""
    app = FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[ShopGateway(), WebSocketGateway("/ticker")], settings=settings)

    @app.post("/orders")
    async def create(
        item: str,
        user: Annotated[str, Depends(current_user)],
        broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)],
    ) -> bool:
        try:
            receipt = await broadcaster.broadcast_to_room("orders", "ORDER_CREATE", {"item": item, "by": user})
        except BrokerUnavailable:
            raise HTTPException(503) from None
        return receipt.position is not None

    return app
