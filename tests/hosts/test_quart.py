"""Quart behind the middleware: its WebSocket routes, its test client, its commands."""

from __future__ import annotations

import httpx
import websockets
from quart import Quart, request, websocket

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, get_broadcaster
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
POLLING = "/socket.io/?EIO=4&transport=polling"


class Board(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("board")


def make() -> Quart:
    app = Quart(__name__)
    app.asgi_app = RealtimeMiddleware(app.asgi_app, gateways=[Board()], settings=SETTINGS)  # type: ignore[arg-type, method-assign, assignment]

    @app.post("/board")
    async def send() -> str:
        receipt = await (await get_broadcaster(request.scope)).broadcast_to_room("board", "said")
        return str(receipt.delivered_locally)

    @app.websocket("/own")
    async def own() -> None:
        broadcaster = await get_broadcaster(websocket.scope)
        while True:
            text = str(await websocket.receive())
            receipt = await broadcaster.broadcast_to_all("own")
            await websocket.send(f"{text} {receipt.delivered_locally}")

    return app


async def test_websocket_routes_of_quart_work_beside_the_gateways(serve: Serve) -> None:
    server = await serve(make())  # type: ignore[arg-type]
    async with websockets.connect(f"{server.websocket_url}/own") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello 0"
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get(POLLING)).text.startswith("0{")
        assert (await http.post("/board")).text == "0"


async def test_the_test_client_of_quart_reaches_routes_and_gateways() -> None:
    app = make()
    middleware = app.asgi_app
    assert isinstance(middleware, RealtimeMiddleware)
    async with middleware.realtime, app.test_app() as running:
        client = running.test_client()
        assert await (await client.post("/board")).get_data(as_text=True) == "0"
        assert (await (await client.get(POLLING)).get_data(as_text=True)).startswith("0{")
        async with client.websocket("/own") as socket:
            await socket.send("hello")
            assert await socket.receive() == "hello 0"
