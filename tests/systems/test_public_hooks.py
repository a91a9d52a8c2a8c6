"""The systems of the package are gateways like those of a host: they override and read only what those may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, create_token, on
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.gateways.reserved_names import reserved_names
from tests.support.paths import PACKAGE
from tests.support.raw_engineio import raw_client
from tests.support.servers import Serve

SYSTEMS = sorted(path for path in (PACKAGE / "systems").iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("gateway", packaged_gateways(), ids=lambda gateway: gateway.__name__)
def test_a_system_overrides_only_what_a_host_may(gateway: type[SocketIOGateway | WebSocketGateway]) -> None:
    (base,) = (kind for kind in gateway.__mro__ if kind in (SocketIOGateway, WebSocketGateway))
    of_the_base = {name for kind in base.__mro__ for name in vars(kind)}
    private = {name for name in of_the_base if name.startswith("_") and not name.startswith("__")}
    assert not (private | set(reserved_names(base))) & set(vars(gateway))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_system_uses_no_private_part_of_a_gateway(system: Path) -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in system.glob("*.py")}
    own = {name for tree in trees.values() for name in defined(tree)}
    own.add("_broadcaster")  # of `TypedBroadcaster`, for its subclasses
    for name, tree in trees.items():
        assert private_attributes(tree) <= own, name


def private_attributes(tree: ast.AST) -> set[str]:
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def defined(tree: ast.AST) -> Iterator[str]:
    """The names of methods and functions, and of the attributes that are assigned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


class Greeter(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.send("first")

    def connection_opened(self, connection: Connection) -> None:
        self.push_event(connection, "second", None)
        self.run_later(connection, "third", self._third)

    async def _third(self, connection: Connection) -> None:
        await connection.send("third")

    @on("said")
    async def said(self, text: str, connection: Connection) -> None:
        await connection.send("fourth", text)


async def test_what_is_sent_when_a_connection_has_opened_follows_what_on_connect_sent(serve: Serve) -> None:
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[Greeter()], settings=settings))
    async with raw_client(server, "websocket") as ann:
        assert (await ann.connect({"token": create_token("ann", settings)})).startswith("40{")
        await ann.emit("said", "hello")
        packets = [await ann.next() for _ in range(4)]
    assert packets == ['42["first"]', '42["second",null]', '42["third"]', '42["fourth","hello"]']
