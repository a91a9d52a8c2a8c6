"""The systems of the package use and override only what the gateways of a host may."""

from __future__ import annotations

import ast
import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

import asgi_realtime
from asgi_realtime import (
    Connection,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    TypedBroadcaster,
    WebSocketGateway,
    create_token,
    on,
)
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.gateways.reserved_names import reserved_names
from asgi_realtime.testing import RealtimeTestClient
from tests.support.paths import PACKAGE
from tests.support.raw_engineio import raw_client
from tests.support.servers import Serve
from tests.test_public_signatures import OF_GATEWAYS

SYSTEMS = sorted(path for path in (PACKAGE / "systems").iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("gateway", packaged_gateways(), ids=lambda gateway: gateway.__name__)
def test_a_system_overrides_only_what_a_host_may(gateway: type[SocketIOGateway | WebSocketGateway]) -> None:
    (base,) = (kind for kind in gateway.__mro__ if kind in (SocketIOGateway, WebSocketGateway))
    of_the_base = {name for kind in base.__mro__ for name in vars(kind)}
    private = {
        name for name in of_the_base if name.startswith("_") and "__" not in name
    }  # mangled names cannot collide
    assert not (private | set(reserved_names(base))) & set(vars(gateway))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_system_uses_no_private_part_of_a_gateway(system: Path) -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in system.glob("*.py")}
    own = {name for tree in trees.values() for name in defined(tree)}
    own.add("_broadcaster")  # of `TypedBroadcaster`, for its subclasses
    for name, tree in trees.items():
        assert private_attributes(tree) <= own, name


INTERNAL = {
    # Hosts choose their own form of times. These systems use the form of docs/reference/protocols.md.
    "asgi_realtime.values.timestamps.iso",
    # A test's clock moves the times that these systems write. Hosts read the time as they like.
    "asgi_realtime.runtime.time_source",
}
"""What systems import although hosts cannot, each with the reason."""


def imports(system: Path) -> Iterator[str]:
    """The names that a system imports from the rest of the package, for example `asgi_realtime.values.ids.Id`."""
    for path in system.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            found = [f"{module}{name}" for name in names]
            yield from (name for name in found if name.startswith("asgi_realtime.") and f".{system.name}." not in name)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_system_imports_only_what_a_host_can(system: Path) -> None:
    """The paths differ, because `asgi_realtime` itself imports the systems. The objects are the same."""
    exported = {name: getattr(asgi_realtime, name) for name in asgi_realtime.__all__}
    found = set(imports(system))
    assert f"asgi_realtime.broadcasting.typed_broadcaster.{TypedBroadcaster.__name__}" in found
    for name in found - INTERNAL:
        module, _, last = name.rpartition(".")
        assert last in exported, f"{name} is not exported"
        assert getattr(importlib.import_module(module), last) is exported[last], name


def test_every_exception_is_in_use() -> None:
    assert {name for system in SYSTEMS for name in imports(system)} >= INTERNAL


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_system_uses_no_member_that_is_for_the_package(system: Path) -> None:
    for path in system.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & OF_GATEWAYS, path.name


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


async def test_events_of_the_opened_hook_follow_those_of_on_connect(serve: Serve) -> None:
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[Greeter()], settings=settings))
    async with raw_client(server, "websocket") as ann:
        assert (await ann.connect({"token": create_token("ann", settings)})).startswith("40{")
        await ann.emit("said", "hello")
        packets = [await ann.next() for _ in range(4)]
    assert packets == ['42["first"]', '42["second",null]', '42["third"]', '42["fourth","hello"]']


async def test_work_in_the_background_is_awaited_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    counted = 0

    async def count() -> None:
        nonlocal counted
        for _ in range(1_000):
            await asyncio.sleep(0)
            counted += 1
        raise LookupError("no more numbers")

    gateway = Greeter()
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)
    async with RealtimeTestClient(app) as client:
        gateway.run_in_background("counting", count())
        await client.settle()
        assert counted == 1_000
        assert "/: a task failed (counting)" in caplog.text and "no more numbers" in caplog.text
        gateway.run_in_background("counting", count())
    assert counted == 2_000, "shutdown waits for it"
