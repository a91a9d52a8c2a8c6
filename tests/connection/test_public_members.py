"""The public members of a connection, and how long the object is kept."""

from __future__ import annotations

import gc
import re
import weakref

import pytest
from fastapi import FastAPI

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, SyncConnection
from asgi_realtime import WebSocketGateway as JSONGateway
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.testing import RealtimeTestClient
from tests.support.paths import DOCS
from tests.support.recording import World
from tests.support.waiting import until

MEMBERS = [
    *("behind", "call", "close", "closed", "gateway", "handshake", "id", "identity"),
    *("join", "leave", "recovered", "rooms", "send", "state"),
]
SETTINGS = Settings(jwt_secret="a secret of at least 32 bytes for tests")


def visible(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def test_completion_lists_what_the_reference_documents_and_nothing_else() -> None:
    internal, _ = World().connection()
    assert visible(internal.public) == visible(Connection) == visible(SyncConnection) == MEMBERS
    documented = re.findall(
        r"^\| `connection\.(\w+)", (DOCS / "reference/api.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(documented) == MEMBERS


def test_reserved_attributes_cannot_be_replaced() -> None:
    connection = World().connection()[0].public
    for name in ("id", "identity", "gateway", "handshake", "rooms", "closed", "behind"):
        with pytest.raises(AttributeError):
            setattr(connection, name, None)
    with pytest.raises(AttributeError):
        connection.other = 1  # type: ignore[attr-defined]
    connection.state = {"mine": 1}
    assert connection.state == {"mine": 1}


class Keeping:
    """Keeps weak references to its connections."""

    def __init__(self) -> None:
        self.seen: list[weakref.ref[Connection]] = []

    async def on_connect(self, connection: Connection) -> None:
        self.seen.append(weakref.ref(connection))


class Space(Keeping, SocketIOGateway):
    def __init__(self) -> None:
        SocketIOGateway.__init__(self, "/")
        Keeping.__init__(self)


class Path(Keeping, JSONGateway):
    def __init__(self) -> None:
        JSONGateway.__init__(self, "/json")
        Keeping.__init__(self)


@pytest.mark.parametrize("gateway", [Space(), Path()], ids=["socketio", "json"])
async def test_a_connection_that_ended_is_freed_without_the_garbage_collector(gateway: Space | Path) -> None:
    app = FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[gateway], settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        gc.collect()
        gc.disable()
        try:
            async with client.connect(gateway.name, token=create_token("ann", SETTINGS)):
                (seen,) = gateway.seen
                assert seen() is not None
            await until(lambda: seen() is None)
        finally:
            gc.enable()
