"""How much a client can make the server read before authentication: a few small messages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import FlatJSONDialect, Limits, RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, on
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.errors import ProtocolError
from asgi_realtime.protocols.socketio.session import SocketIOSession
from tests.support.raw_engineio import raw_client
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

LIMITS = Limits(handshake_bytes=2_000, message_bytes=100_000, namespaces_per_session=4)
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", limits=LIMITS)
GARBAGE = "this is no JSON"


def token() -> str:
    return create_token("ann", SETTINGS)


class Space(SocketIOGateway):
    @on("size")
    async def size(self, text: str) -> int:
        return len(text)


class Path(WebSocketGateway):
    @on("size")
    async def size(self, text: Any) -> None:
        pass


class Flat(Path):
    wire = FlatJSONDialect()


def application() -> RealtimeMiddleware:
    gateways = [Space("/"), Space("/b"), Space("/c"), Path("/path"), Flat("/flat")]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)


@pytest.mark.parametrize(
    "packet", [f"2{GARBAGE}", f"2[{GARBAGE}", f"31{GARBAGE}", f"2/x,{GARBAGE}", f"51-{GARBAGE}", f"61-/x,1{GARBAGE}"]
)
def test_no_payload_is_decoded_for_a_namespace_never_connected(packet: str) -> None:
    with pytest.raises(ProtocolError, match="never connected"):
        SocketIOSession(LIMITS).receive(packet)


@pytest.mark.parametrize("packet", [f"2[{GARBAGE}", f"31{GARBAGE}", f"51-{GARBAGE}", f"0{GARBAGE}"])
def test_no_payload_is_decoded_before_connect_is_answered(packet: str) -> None:
    session = SocketIOSession(LIMITS)
    session.receive("0{}")
    with pytest.raises(ProtocolError, match="CONNECT"):
        session.receive(packet)


@pytest.mark.parametrize("packet", [f"2[{GARBAGE}", f"31{GARBAGE}", f"50-{GARBAGE}"])
def test_no_payload_is_decoded_for_a_closed_namespace(packet: str) -> None:
    session = SocketIOSession(LIMITS)
    session.receive("0{}")
    session.disconnected("/")
    for _ in range(3):
        assert session.receive(packet) is None
        assert not session.incomplete


def test_attachments_for_a_closed_namespace_are_ignored_with_their_packet() -> None:
    session = SocketIOSession(LIMITS)
    session.receive("0{}")
    session.disconnected("/")
    incomplete = []
    for message in (f"52-{GARBAGE}", b"one", b"two"):
        assert session.receive(message) is None
        incomplete.append(session.incomplete)
    assert incomplete == [True, True, False]
    with pytest.raises(ProtocolError, match="without a packet"):
        session.receive(b"three")
    session.receive(f"51-{GARBAGE}")
    with pytest.raises(ProtocolError, match="over the limit"):
        session.receive(b"x" * LIMITS.message_bytes)


def test_a_packet_is_dropped_if_its_namespace_closes_before_its_attachment() -> None:
    session = SocketIOSession(LIMITS)
    session.receive("0{}")
    session.connected("/")
    assert session.receive('51-["x",{"_placeholder":true,"num":0}]') is None
    session.disconnected("/")
    assert session.receive(b"late") is None
    assert not session.incomplete


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "packet",
    [
        "42" + json.dumps(["size", "x" * 3_000]),
        "43" + json.dumps(["x" * 3_000]),
        "451-" + json.dumps(["x" * 3_000, {"_placeholder": True, "num": 0}]),
        "40" + json.dumps({"token": "x" * 3_000}),
        "42" + json.dumps(["size", "x" * 90_000]),
        "42" + json.dumps(["size", "好" * 700], ensure_ascii=False),
        b"\xff" * 3_000,
    ],
)
async def test_a_first_message_that_is_too_large_is_refused(
    packet: str | bytes, implementation: Implementation, serve: Serve
) -> None:
    server = await serve(application(), implementation)
    async with raw_client(server, "websocket") as client:
        await client.send_packet(packet)
        assert await client.until_closed() == ([], 1009 if len(packet) > 2_216 else 1002)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_messages_of_a_connected_client_may_be_large(implementation: Implementation, serve: Serve) -> None:
    server = await serve(application(), implementation)
    async with raw_client(server, "websocket") as client:
        assert (await client.connect({"token": token(), "padding": "x" * 1_500})).startswith("40")
        await client.send_packet("421" + json.dumps(["size", "x" * 90_000]))
        assert await client.next() == "431[90000]"
        await client.send_packet("41")
        await client.send_packet("421" + json.dumps(["size", "x" * 90_000]))
        assert await client.until_closed() == ([], 1009)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_posts_before_authentication_are_limited(implementation: Implementation, serve: Serve) -> None:
    server = await serve(application(), implementation)
    query = {"EIO": "4", "transport": "polling"}
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http, asyncio.timeout(20):

        async def opened() -> dict[str, str]:
            opening = (await http.get("/socket.io/", params=query)).text
            return {**query, "sid": json.loads(opening[1:])["sid"]}

        async def post(params: dict[str, str], body: str) -> int:
            return (await http.post("/socket.io/", params=params, content=body.encode())).status_code

        for body in ("4" + "x" * 90_000, "b" + "AAAA" * 3_000, "\x1e" * 10_000):
            assert await post(await opened(), body) == 413
        params = await opened()
        auth = json.dumps({"token": token(), "padding": "x" * 1_500})
        # A client connects to all of its namespaces at once.
        assert await post(params, "\x1e".join((f"40{auth}", f"40/b,{auth}", f"40/c,{auth}"))) == 200
        answers = ""
        while answers.count("sid") < 3:
            answers += (await http.get("/socket.io/", params=params)).text
        assert await post(params, "421" + json.dumps(["size", "x" * 90_000])) == 200
        assert (await http.get("/socket.io/", params=params)).text == "431[90000]"


@pytest.mark.parametrize("path", ["/path", "/flat"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_frames_of_an_unauthenticated_json_websocket_are_limited(
    implementation: Implementation, path: str, serve: Serve
) -> None:
    server = await serve(application(), implementation)
    large = json.dumps({"type": "size", "data": "x" * 3_000})
    async with websockets.connect(server.websocket_url + path, close_timeout=1) as websocket, asyncio.timeout(20):
        await websocket.send(large)
        assert json.loads(await websocket.recv())["data"]["code"] == "TOO_LARGE"
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1009
    url = f"{server.websocket_url}{path}?token={token()}"
    async with websockets.connect(url, close_timeout=1) as websocket, asyncio.timeout(20):
        assert json.loads(await websocket.recv())["type"] == "auth_success"
        await websocket.send(large)
        await websocket.send('{"type": "ping"}')
        assert json.loads(await websocket.recv())["type"] == "pong"
        await websocket.send(json.dumps({"type": "size", "data": "x" * 100_000}))
        assert json.loads(await websocket.recv())["data"]["code"] == "TOO_LARGE"
