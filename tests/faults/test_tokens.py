"""Credentials that expire or are revoked during a connection, and invalid credentials."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from asgi_realtime import Settings, SocketIOGateway, WebSocketGateway, create_token
from asgi_realtime.values.json import Json
from tests.support.attackers import enter
from tests.support.jwks_server import JWKSServer, jwk, sign
from tests.support.raw_engineio import TRANSPORTS, RawClient, TransportName, raw_client, read_until_closed, receive_json
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import PATIENCE, Target

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET, presence_grace=0.0)
REFUSED = {"message": "invalid credentials", "data": {"code": "UNAUTHORIZED"}}


class TokenTarget(Target):
    """`/users` and the path `/chat` require a JWT."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__(SocketIOGateway("/users"), WebSocketGateway("/chat"), settings=settings)


@contextlib.asynccontextmanager
async def user(server: LiveServer, token: str, transport: TransportName = "websocket") -> AsyncIterator[RawClient]:
    """Connect to `/users`."""
    async with raw_client(server, transport) as client:
        await client.send("0/users," + json.dumps({"token": token}))
        await receive_json(client, "0/users,")
        yield client


async def refused(server: LiveServer, *auths: Json) -> None:
    """Fail unless each of these is refused like any other bad credential."""
    async with raw_client(server, "websocket") as client:
        for auth in auths:
            await client.send("0/users," + ("" if auth is None else json.dumps(auth)))
            assert await receive_json(client, "4/users,") == REFUSED
        await enter(client, {"name": "still here"})


@contextlib.asynccontextmanager
async def chat(server: LiveServer, token: str) -> AsyncIterator[list[str]]:
    """Connect to `/chat` and receive everything until the close. The list is complete when the block ends."""
    received: list[str] = []
    async with connect(f"{server.websocket_url}/chat?token={token}") as socket:
        assert json.loads(await socket.recv())["type"] == "auth_success"
        yield received
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    received.append(str(await socket.recv()))
        received.append(f"closed with {socket.close_code}")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_token_that_expires_ends_its_connection_unless_it_is_refreshed(
    serve: Serve, transport: TransportName
) -> None:
    target = TokenTarget()
    server = await serve(target.app)
    short = create_token("short", SETTINGS, expires_in=3)  # both must happen within this time
    async with user(server, short, transport) as ends, user(server, short, transport) as refreshes:
        async with user(server, short, transport) as cheats:
            for client, owner, answer in ((refreshes, "short", True), (cheats, "another", False)):
                token = create_token(owner, SETTINGS)
                await client.send("2/users,1" + json.dumps(["auth/refresh", {"token": token}]))
                assert (await receive_json(client, "3/users,1"))[0]["success"] is answer
            assert await read_until_closed(cheats) == ["1/users,"]
        assert await read_until_closed(ends) == ["1/users,"]
        await target.realtime.broadcaster.broadcast_to_user("short", "news", gateway="/users")
        assert await refreshes.receive() == '2/users,["news"]'
        await refused(server, {"token": short})


async def test_a_token_that_expires_ends_a_json_websocket(serve: Serve) -> None:
    target = TokenTarget()
    server = await serve(target.app)
    async with chat(server, create_token("user", SETTINGS, expires_in=2)) as received:
        pass
    assert received == ["closed with 1008"]
    await target.emptied()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("what", ["user", "token"])
async def test_a_revocation_cuts_every_connection_within_a_second(
    serve: Serve, implementation: Implementation, what: str
) -> None:
    target = TokenTarget()
    server = await serve(target.app, implementation)
    broadcaster = target.realtime.broadcaster
    token = create_token("victim", SETTINGS, jti="the one")
    async with (
        user(server, create_token("another", SETTINGS)) as another,
        user(server, token) as websocket,
        user(server, token, "polling") as polling,
        chat(server, token) as received,
    ):
        async with asyncio.timeout(1):
            await (broadcaster.revoke_user("victim") if what == "user" else broadcaster.revoke_token("the one"))
            assert await read_until_closed(websocket) == await read_until_closed(polling) == ["1/users,"]
        await refused(server, {"token": token})
        await broadcaster.broadcast_to_all("news", gateway="/users")
        assert await another.receive() == '2/users,["news"]'
        async with user(server, create_token("victim", SETTINGS)):
            pass  # a token issued after the revocation is valid
    assert received == ["closed with 1008"]
    await target.emptied()


def claims(**more: Json) -> dict[str, Json]:
    return {"sub": "user", "iat": time.time(), "exp": time.time() + 60, "aud": "us", "iss": "them"} | more


async def test_forged_and_foreign_tokens_are_refused(serve: Serve) -> None:
    settings = Settings(jwt_secret=SECRET, jwt_audience="us", jwt_issuer="them", presence_grace=0.0)
    server = await serve(TokenTarget(settings).app)

    def token(secret: str = SECRET, algorithm: str = "HS256", **more: Json) -> str:
        return jwt.encode(claims(**more), secret, algorithm)

    async with user(server, token()):
        pass  # so that each of the others is refused for its own fault
    unsigned = jwt.encode(claims(), "", "none")
    header, payload, signature = token().split(".")
    bad: list[Json] = [
        *(unsigned, unsigned + signature, f"{header}.{payload}.", f"{header}.{payload}", "", "a.b.c", "\ud83d"),
        token("another secret that is long enough too"),
        token(aud="others"),
        token(aud=["others"]),
        token(aud=None),
        token(iss="others"),
        token(iss=""),
        token(exp=time.time() - 1),
        token(exp="soon"),
        token(nbf=time.time() + 60),
        token(sub=""),
        token(sub=None),
        token(sub={"id": "user"}),
        *(None, 7, True, ["token"], {"token": token()}),
    ]
    await refused(server, *[{"token": one} for one in bad], None, {}, {"Token": token()})


async def test_a_public_key_is_not_accepted_as_a_shared_secret(serve: Serve) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    settings = Settings(jwt_public_key=pem.decode(), presence_grace=0.0)
    server = await serve(TokenTarget(settings).app)
    async with user(server, sign(key, "RS256", claims(), None)):
        pass
    await refused(server, {"token": _signed_with(pem)})


def _signed_with(secret: bytes) -> str:
    """An HS256 token with any bytes as its secret. The library refuses to sign with a public key."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims())]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
    return f"{signed.decode()}.{signature.decode()}"


async def test_unknown_keys_and_an_unreachable_key_server_refuse_with_few_fetches(serve: Serve) -> None:
    key = rsa.generate_private_key(65537, 2048)
    with JWKSServer([jwk(key, "known")]) as keys:
        target = TokenTarget(Settings(jwks_url=keys.url, presence_grace=0.0))
        server = await serve(target.app)
        good = sign(key, "RS256", claims(), "known")
        async with user(server, good):
            assert keys.fetches == 1
        unknown = [{"token": sign(key, "RS256", claims(), f"unknown {number}")} for number in range(50)]
        await asyncio.gather(*[refused(server, *unknown[start::10]) for start in range(10)])
        assert keys.fetches <= 2
        keys.down()
        await refused(server, *unknown[:5])
        async with user(server, good):
            pass  # the current keys stay valid
        await target.emptied()


async def test_with_an_unreachable_key_server_every_token_is_refused_at_once(serve: Serve) -> None:
    key = rsa.generate_private_key(65537, 2048)
    with JWKSServer() as keys:
        keys.down()
        server = await serve(TokenTarget(Settings(jwks_url=keys.url, presence_grace=0.0)).app)
        async with asyncio.timeout(PATIENCE):
            await refused(server, *[{"token": sign(key, "RS256", claims(), "known")}] * 20)
