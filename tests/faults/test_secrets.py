"""Tokens, secrets and session ids are in no line that a server prints. Infra refuses them in the query."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin

from asgi_realtime import InfraGateway, RealtimeMiddleware, Settings, create_token
from tests.support.raw_engineio import raw_client, receive_json
from tests.support.secrets_app import ADMINISTRATOR
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import Target, TargetPath
from tests.support.target_process import Process, target_process

SETTINGS = Settings(jwt_secret="a shared secret that may never be printed", admin_secret="admin-secret-never-printed")
ADMIN_SECRET = str(SETTINGS.admin_secret)
TOKEN = create_token("user", SETTINGS)
SHARED = "token-that-clients-of-jobs-share"
TOKENS: Final = {
    "good": TOKEN,
    "of another issuer": create_token("user", Settings(jwt_secret="the secret of another issuer of tokens")),
    "expired": create_token("user", SETTINGS, expires_in=-3600),
    "cut": TOKEN[:-5],
    "shared": SHARED,
    "opaque": "o+p%20aque /qV7=xK2pQz9 wLm4",
    "too large": TOKEN + "".join(f"{number:06}" for number in range(1_000)),
}
ENVIRON = {"MEW_JWT_SECRET": str(SETTINGS.jwt_secret), "MEW_ADMIN_SECRET": ADMIN_SECRET, "WS_AUTH_TOKEN": SHARED}

NAMESPACES: Final = ("/", "/infra", "/events", "/chat", "/target", "/python", "/admin", "/unknown")
PATHS: Final = ("/ws", "/jwt", "/json")
EVIL: Final = "https://evil.example"
PIECE: Final = 8
"""The number of consecutive characters of a secret that must not appear."""
_SESSION_ID: Final = re.compile(r'"(?:sid|sessionId|pid)":"([^"]+)"')


class Secrets:
    """The strings that may not be printed in any form: secrets of clients, and session ids of the server."""

    def __init__(self) -> None:
        self._pieces: set[str] = set()
        for secret in (*TOKENS.values(), *ENVIRON.values(), ADMINISTRATOR["password"]):
            self.add(secret)

    def add(self, secret: str) -> None:
        """Add a secret as it is, percent-encoded, and as base64 at each offset."""
        forms = [secret, quote(secret, safe="")]
        forms += [base64.b64encode(b" " * shift + secret.encode()).decode()[4:-4] for shift in range(3)]
        self._pieces |= {form[at : at + PIECE] for form in forms for at in range(len(form) - PIECE + 1)}

    def add_session_id(self, message: object) -> None:
        """Add the Engine.IO session id, or that of the Admin UI, in a message of the server."""
        if isinstance(message, str) and message.startswith(("0", "42/admin")):
            for found in _SESSION_ID.finditer(message):
                self.add(found[1])

    def shown(self, line: str) -> bool:
        """Whether a line contains a part of a secret."""
        return any(line[at : at + PIECE] in self._pieces for at in range(len(line) - PIECE + 1))


def packets(namespace: str, auth: object, token: str) -> Iterator[str]:
    """A client of a namespace: it connects, and sends its token in events of every kind."""
    prefix = "" if namespace == "/" else f"{namespace},"
    yield f"40{prefix}{json.dumps(auth)}"
    for number, sent in enumerate(
        (
            *(["auth/refresh", {"token": token}], ["auth/refresh", token], ["auth/refresh", {"token": [token]}]),
            *(["echo", token], ["join", token], ["known", {"token": token}], ["fails", token], ["unknown", token]),
            *(["room:join", {"room": token}], ["message", {"content": token, "room": token}]),
            *(["message/create", {"channelId": token, "content": token}], ["message/create", token]),
            *(["private_message", {"id": token, "to": token, "content": token}], [token, "its name"], [token]),
        )
    ):
        yield f"42{prefix}{number}{json.dumps(sent)}"


def payloads(token: str) -> Iterator[object]:
    """Authentication payloads with a token in each possible place."""
    yield {"token": token}
    yield {"token": [token], token: token}
    yield {"name": token}
    yield {"adminSecret": ADMIN_SECRET, "serviceType": token}
    yield {"adminSecret": token, "serviceType": "bot"}
    yield ADMINISTRATOR | {"password": token}
    yield ADMINISTRATOR
    yield {"sessionId": token}


def hostile(token: str) -> Iterator[str | bytes]:
    """Invalid messages, each of which may end the session."""
    yield from (
        token,
        f"4{token}",
        f"42{token}",
        f'42["{token}"',
        f'42{{"{token}":1}}',
        f'40["{token}"]',
        f"40/{token},",
    )
    yield from (f'451-["echo",{{"_placeholder":true,"num":"{token}"}}]', f'43["{token}"]', f'44{{"message":"{token}"}}')
    yield f'42["echo","\ud800{token}"]'.encode("utf-8", "surrogatepass")
    yield token.encode()


async def read_answers(client: ClientConnection, secrets: Secrets, *answers: str) -> None:
    """Read up to one of these answers, or until nothing more comes."""
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.2):
                message = await client.recv()
            secrets.add_session_id(message)
            if answers and str(message).startswith(answers):
                return


async def send_all(
    server: LiveServer,
    secrets: Secrets,
    path: str,
    messages: Iterable[str | bytes],
    headers: Any = None,
    page: Any = None,
) -> None:
    """Open a WebSocket, send all messages, and read until the server sends nothing more or has closed it."""
    with contextlib.suppress(InvalidHandshake, ConnectionClosed):
        url, origin = server.websocket_url + path, None if page is None else Origin(page)
        async with connect(url, additional_headers=headers, origin=origin, compression=None) as client:
            first, *others = messages
            await client.send(first)
            await read_answers(client, secrets, "40", "44", "{")
            for message in others:
                await client.send(message)
            await read_answers(client, secrets)


async def get(server: LiveServer, path: str) -> None:
    """Request the path of a WebSocket without an upgrade, as behind a proxy that does not forward it."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
        with contextlib.suppress(httpx.TransportError):
            await http.get(path)


async def poll(http: httpx.AsyncClient, secrets: Secrets, token: str) -> None:
    """Send the same by long-polling, with a token in every place."""

    async def send_request(method: str, url: str, content: str = "", **headers: str) -> str:
        with contextlib.suppress(httpx.TransportError):
            return (await http.request(method, url, content=content or None, headers=headers, timeout=0.5)).text
        return ""

    place = quote(token[:400], safe="")
    query = f"/socket.io/?EIO=4&transport=polling&token={place}&adminSecret={place}"
    opening = await send_request("GET", query)
    secrets.add_session_id(opening)
    session = f"{query}&sid=" + opening.partition('"sid":"')[2].partition('"')[0]
    first, *events = packets("/", {"token": token}, token)
    await send_request("POST", session, first)
    await send_request("GET", session)
    await send_request("POST", session, "\x1e".join((*events, "b" + base64.b64encode(token.encode()).decode())))
    old = query.replace("EIO=4", "EIO=3")
    for url in (session, old, f"{query}&sid={place}", f"/socket.io/?{place}", f"{query}&sid="):
        await send_request("POST", url, f'40{{"token":"{token}"}}')
        await send_request("PUT", url)
        await send_request("GET", url)
        await send_request("GET", url, Origin=EVIL)
        await send_request("OPTIONS", url, **{"Origin": EVIL, "Access-Control-Request-Method": "GET"})


async def use_secrets_everywhere(process: Process, secrets: Secrets) -> None:
    """Put a secret in each place of a request, in requests that succeed and in requests that fail."""
    server = process.server
    for token in TOKENS.values():
        short = token[:400]  # servers answer or drop a head of many kilobytes before the app
        place = quote(short, safe="")
        headers = {
            "Authorization": f"Bearer {short}",
            "X-Mew-Admin-Secret": short,
            "Cookie": f"mew_access_token={short}",
        }
        io = f"/socket.io/?EIO=4&transport=websocket&token={place}&adminSecret={place}&access_token={place}"
        auth = {"token": token, "name": token}
        frame = json.dumps({"type": "auth", "data": auth})
        events = [json.dumps({"type": token, "data": token}), json.dumps({"type": "echo", "data": auth}), frame, token]
        attempts = [send_all(server, secrets, io, packets(name, auth, token), headers) for name in NAMESPACES]
        attempts += [send_all(server, secrets, f"{path}?token={place}", [*events[1:]], headers) for path in PATHS]
        attempts += [send_all(server, secrets, path, [frame, *events]) for path in PATHS]
        if token == TOKEN:
            for name in ("/infra", "/admin"):
                attempts += [
                    send_all(server, secrets, io, packets(name, payload, token)) for payload in payloads(token)
                ]
            target = list(packets("/target", {"name": "ann"}, token))
            attempts += [send_all(server, secrets, io, [target[0], last]) for last in hostile(token)]
            attempts += [
                send_all(server, secrets, f"{path}?{place}", [last])
                for path in PATHS
                for last in (f'{{"{token}":', b"\0")
            ]
            for path in (
                io,
                f"{io}&sid={place}",
                io.replace("EIO=4", "EIO=3"),
                f"/socket.io/?{place}",
                f"/json?{place}",
            ):
                attempts += [send_all(server, secrets, path, ["40"], headers, page) for page in (None, EVIL)]
            odd = (
                f"{token[:20]}={token[20:]}",
                f"t={token}",
                f"EIO={token}",
                f"transport={token}",
                f"{token[:30]}==",
                "",
            )
            for path in ("/socket.io/", "/jwt", "/jwt/"):
                attempts += [send_all(server, secrets, f"{path}?{query}&token={token}", [frame]) for query in odd]
                attempts += [get(server, f"{path}?{query}&token={token}") for query in odd]
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=10) as http:
            await asyncio.gather(*attempts, poll(http, secrets, token))


@pytest.mark.parametrize(
    ("implementation", "level", "steps"),
    [*((implementation, "info", False) for implementation in IMPLEMENTATIONS), ("WebSocketProtocol", "debug", True)],
)
async def test_no_line_of_a_server_shows_a_secret(
    tmp_path: Path, implementation: Implementation, level: str, steps: bool
) -> None:
    secrets = Secrets()
    arguments = ["--server", implementation, "--log-level", level, *(["--steps"] if steps else [])]
    async with target_process(tmp_path, *arguments, module="tests.support.secrets_app", environ=ENVIRON) as process:
        await use_secrets_everywhere(process, secrets)
    lines = process.output.splitlines()
    if implementation != "hypercorn":  # its access log has no query
        assert any("/socket.io/?EIO=4&transport=polling&token=redacted" in line for line in lines)
        assert any("/jwt?token=redacted" in line for line in lines)
    assert any("refused a client: the token" in line for line in lines)
    assert any(line.startswith("package: WARNING asyncio Executing") for line in lines) or not steps
    # Uvicorn's own dump of the wire is excluded: it is off by default, and written before the app is called.
    checked = [line for line in lines if not line.startswith("DEBUG: ")]
    assert [line for line in checked if secrets.shown(line)] == []


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_route_of_the_host_on_a_gateways_path_gets_its_query(
    serve: Serve, implementation: Implementation
) -> None:
    async def page(request: Request) -> Response:
        return PlainTextResponse(request.url.query)

    app = RealtimeMiddleware(Starlette(routes=[Route("/json", page)]), gateways=[TargetPath()], settings=SETTINGS)
    server = await serve(app, implementation)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{server.url}/json?token=opaque&x=1")).text == "token=opaque&x=1"


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", ["adminSecret", "x-mew-admin-secret", "X-Mew-Admin-Secret", "secret", "token", "q"])
async def test_infra_refuses_a_secret_in_the_query_even_when_it_is_right(
    serve: Serve, implementation: Implementation, name: str
) -> None:
    target = Target(InfraGateway(), settings=SETTINGS)
    server = await serve(target.app, implementation)
    url = f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket&serviceType=bot"
    good = f'40/infra,{{"adminSecret":"{ADMIN_SECRET}"}}'
    async with connect(url) as socket:
        await socket.recv()
        await socket.send(good)
        assert str(await socket.recv()).startswith("40/infra,")
    async with connect(f"{url}&{name}={ADMIN_SECRET}", additional_headers={name: ADMIN_SECRET}) as socket:
        await socket.recv()
        await socket.send(good)
        assert await socket.recv() == '44/infra,{"message":"invalid credentials","data":{"code":"UNAUTHORIZED"}}'
    await target.emptied()


async def test_a_user_token_is_refused_on_infra(serve: Serve) -> None:
    target = Target(InfraGateway(), settings=SETTINGS)
    server = await serve(target.app)
    async with raw_client(server, "websocket", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        await client.send(f'0/infra,{{"token":"{TOKEN}","serviceType":"bot"}}')
        assert (await receive_json(client, "4/infra,"))["data"] == {"code": "UNAUTHORIZED"}
