"""docs/explanation/architecture.md lists the actual calls, and its links point to code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType

import pytest
from starlette.types import Receive, Scope, Send

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.client_frames import text
from tests.support.paths import DOCS, PACKAGE
from tests.support.protocol_server import protocol_server
from tests.support.raw_websocket import open_websocket

_INBOUND = ("WebSocketProtocol.data_received", "Broadcaster.broadcast_to_room")
PAGE = (DOCS / "explanation/architecture.md").read_text(encoding="utf-8")


class Calls:
    """Records the calls of the package's functions, from the first one of a name to the last one of another."""

    def __init__(self, first: str, last: str) -> None:
        self.found: list[str] = []
        self._first = first
        self._last = last
        self._done = False

    def profile(self, frame: FrameType, kind: str, argument: object) -> None:
        """Take an event of `sys.setprofile`."""
        file = Path(frame.f_code.co_filename)
        if kind != "call" or self._done or PACKAGE not in file.parents:
            return
        call = f"{file.relative_to(PACKAGE)} {frame.f_code.co_qualname}"
        if self.found or call.endswith(self._first):
            self.found.append(call)
            self._done = call.endswith(self._last)


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the middleware. It receives no request here."""


async def anyone(handshake: Handshake) -> Identity:
    """Accept every client."""
    return Identity(user_id="ann")


class Chat(SocketIOGateway):
    """A room that each client joins, and an event that is broadcast to it."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("say")
    async def say(self, text: str, connection: Connection) -> None:
        """Broadcast a text."""
        await self.broadcaster.broadcast_to_room("lobby", "said", {"text": text})


async def record(first: str, last: str, event: str) -> list[str]:
    """Serve a client on the protocol class, warm up, and record the calls for one event of it."""
    app = RealtimeMiddleware(
        host,
        gateways=[Chat("/", authenticator=anyone)],
        settings=Settings(jwt_secret="a secret for tests, long enough"),
    )
    calls = Calls(first, last)
    async with protocol_server(app, protocol=WebSocketProtocol) as server:
        async with open_websocket(server.port, "/socket.io/?EIO=4&transport=websocket") as client:
            await client.next()
            await client.send(text("40"))
            await client.next()
            for _ in range(20):
                await client.send(text(event))
                await client.next()
            sys.setprofile(calls.profile)
            try:
                await client.send(text(event))
                await client.next()
            finally:
                sys.setprofile(None)
    return calls.found


def listed(heading: str) -> list[str]:
    """The calls in the table below a heading, in their order."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [f"{file} {call}" for file, call in re.findall(r"^\| `([^`]+\.py)` \| `([^`]+)` \|", section, re.MULTILINE)]


@pytest.mark.parametrize(
    ("heading", "first", "last", "event"),
    [
        ("One broadcast", "Broadcaster.broadcast_to_room", "Sinks.write", '42["say","hello"]'),
        ("One inbound event", *_INBOUND, '42["say","hello"]'),
        ("An event in the general way", *_INBOUND, '42[ "say","hello"]'),
    ],
)
async def test_the_page_lists_calls_in_the_order_in_which_they_are_made(
    heading: str, first: str, last: str, event: str
) -> None:
    calls = listed(heading)
    assert len(calls) > 10
    made = iter(await record(first, last, event))
    assert [call for call in calls if call not in made] == []  # `in` continues behind the last match


def test_every_path_on_the_page_exists() -> None:
    paths = set(re.findall(r"`([a-z_/0-9]+(?:\.py|/))`", PAGE)) - {"asgi_realtime/", "tests/test_floors.py"}
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (PACKAGE / path).exists()] == []


def test_the_page_names_every_folder() -> None:
    folders = {f"`{path.name}/`" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert [folder for folder in sorted(folders) if folder not in PAGE] == []


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= 150
