"""Authentication of Mew and Infra: stock clients, every transport."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import websockets

from asgi_realtime import create_token
from tests.support.mew_app import SETTINGS, make_app
from tests.support.node_client import ConnectRefused
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client
from tests.support.servers import LiveServer, Serve
from tests.support.stock_client import ClientKind, Connect

ALLOWED = "https://mew.example"
FOREIGN = "https://evil.example"
SECRET = SETTINGS.jwt_secret
assert SECRET is not None
GOOD = create_token("ann", SETTINGS)

UNACCEPTABLE = {
    "expired": create_token("ann", SETTINGS, expires_in=-1),
    "forged": create_token("ann", dataclasses.replace(SETTINGS, jwt_secret="another app's secret, long enough")),
    "unsigned": jwt.encode({"sub": "ann", "exp": 2**40}, "", algorithm="none"),
    "not valid yet": create_token("ann", SETTINGS, nbf=2**40),
    "without a user": jwt.encode({"exp": 2**40}, SECRET, algorithm="HS256"),
    "cut short": GOOD[:-4],
    "not a token": "token",
    "empty": "",
}


@pytest.fixture
async def server(serve: Serve, tmp_path: Path) -> LiveServer:
    settings = dataclasses.replace(SETTINGS, cors_origins=(ALLOWED,))
    return await serve(make_app(f"sqlite:///{tmp_path}/mew.db", settings))


@contextlib.asynccontextmanager
async def refused(*, message: str = "invalid credentials") -> AsyncIterator[None]:
    """Fail unless the block is refused as in the contract."""
    with pytest.raises(ConnectRefused) as caught:
        yield
    assert (caught.value.message, caught.value.data) == (message, {"code": "UNAUTHORIZED"})


async def test_a_valid_token_is_accepted_by_mew(server: LiveServer, connect: Connect) -> None:
    ways: list[dict[str, Any]] = [
        {"auth": {"token": GOOD}},
        {"headers": {"Cookie": f"theme=dark; mew_access_token={GOOD}"}},
        {"headers": {"Authorization": f"Bearer {GOOD}"}},
        {"auth": {"token": GOOD}, "headers": {"Cookie": f"mew_access_token={UNACCEPTABLE['expired']}"}},
        {"auth": {"token": GOOD}, "headers": {"Origin": ALLOWED}},
        {"auth": {"token": GOOD}, "headers": {"Origin": server.url}},
    ]
    for way in ways:
        client = await connect(server.url, **way)
        assert (await client.expect("PRESENCE_INITIAL_STATE")).data == ["ann"]
        await client.expect("ready")


async def test_mew_refuses_every_other_credential(server: LiveServer, connect: Connect) -> None:
    for token in UNACCEPTABLE.values():
        async with refused():
            await connect(server.url, auth={"token": token})
        async with refused():
            await connect(server.url, headers={"Cookie": f"mew_access_token={token}"})
    auths: list[Any] = [None, {}, {"token": None}, {"token": ["x"]}, {"token": {"a": 1}}, {"adminSecret": "x"}]
    for auth in auths:
        async with refused():
            await connect(server.url, auth=auth)
    async with refused():
        await connect(f"{server.url}?token={GOOD}")
    async with refused():
        await connect(server.url, auth={"token": "no"}, headers={"Cookie": f"mew_access_token={GOOD}"})
    # None of them was admitted: the next client is the only one online.
    client = await connect(server.url, auth={"token": create_token("eve", SETTINGS)})
    assert (await client.expect("PRESENCE_INITIAL_STATE")).data == ["eve"]


async def test_a_foreign_origin_is_refused_even_with_a_token(
    server: LiveServer, connect: Connect, client_kind: ClientKind
) -> None:
    for origin in (FOREIGN, "null", ALLOWED + ".evil.example", "http://mew.example", "https://mew.example:8443"):
        with pytest.raises(ConnectRefused) as caught:
            await connect(server.url, auth={"token": GOOD}, headers={"Origin": origin})
        if client_kind.startswith("node"):
            assert caught.value.status == 403


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_foreign_origin_cannot_use_a_known_session_id(server: LiveServer, transport: TransportName) -> None:
    async with (
        raw_client(server, transport, headers={"Origin": ALLOWED}) as victim,
        httpx.AsyncClient(verify=False, headers={"Origin": FOREIGN}) as http,
    ):
        query = f"/socket.io/?EIO=4&sid={victim.handshake['sid']}&transport="
        assert (await http.get(f"{server.url}{query}polling")).status_code == 403
        assert (await http.post(f"{server.url}{query}polling", content="41")).status_code == 403
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"{server.websocket_url}{query}websocket", origin=websockets.Origin(FOREIGN))
        assert caught.value.response.status_code == 403
        await victim.send('0{"token":"' + GOOD + '"}')
        assert str(await victim.receive()).startswith('0{"sid":"'), "the session is unchanged"


async def test_infra_accepts_only_the_admin_secret(server: LiveServer, connect: Connect) -> None:
    secret = SETTINGS.admin_secret
    assert secret is not None
    by_auth = {"adminSecret": secret, "serviceType": "weather"}
    await connect(server.url, "/infra", auth=by_auth)
    await connect(server.url, "/infra", auth={"serviceType": "weather"}, headers={"X-Mew-Admin-Secret": secret})
    await connect(f"{server.url}?serviceType=weather", "/infra", headers={"X-Mew-Admin-Secret": secret})

    auths: list[dict[str, Any]] = [
        {},
        {"token": GOOD, "serviceType": "weather"},
        by_auth | {"adminSecret": secret[:-1]},
        by_auth | {"adminSecret": [secret]},
        {"adminSecret": secret},
        by_auth | {"serviceType": "sdk"},
        by_auth | {"serviceType": ""},
        by_auth | {"serviceType": 1},
    ]
    for auth in auths:
        async with refused():
            await connect(server.url, "/infra", auth=auth)
    for name in ("adminSecret", "x-mew-admin-secret"):
        async with refused():
            await connect(f"{server.url}?{name}={secret}", "/infra", auth=by_auth)


async def test_an_admin_secret_is_refused_elsewhere(server: LiveServer, connect: Connect) -> None:
    async with refused():
        await connect(server.url, auth={"adminSecret": SETTINGS.admin_secret, "serviceType": "weather"})
