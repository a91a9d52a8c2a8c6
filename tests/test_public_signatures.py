"""The public signatures use only types that a host can import."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis, RedisCluster

from asgi_realtime import sync_too
from asgi_realtime.broadcasting.gateway_registry import Addressable
from asgi_realtime.connection.contracts import AnyConnection
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.lifecycle.mounting import NamespaceFamily
from asgi_realtime.values.publications import Position
from tests.test_exports import PUBLIC

PYTHON_SOCKETIO = {"SocketIOServer", *PUBLIC["asgi_realtime.socketio"].__all__}
"""Typed as in python-socketio."""
EXPORTED = {
    name: getattr(module, name) for module in PUBLIC.values() for name in module.__all__ if name not in PYTHON_SOCKETIO
} | {"WebSocketProtocol": PUBLIC["asgi_realtime.uvicorn"].WebSocketProtocol}

NOT_MADE_BY_HOSTS = {"Broadcaster", "SyncBroadcaster", "Connection", "SyncConnection", "Socket", "WebSocketProtocol"}
OF_GATEWAYS = {
    "add_to_registry",
    "admits",
    "bind",
    "context",
    "dialect",
    "disconnected",
    "mounted",
    "offline",
    "recovery_id",
    "came_online",
    "open",
    "prepare",
    "receive",
}
"""Members of a gateway that the transports, the hub and the composition root use."""
NOT_CALLED_BY_HOSTS = {
    # For encoded payloads.
    *("Broadcaster.publish", "Publication.subscriptions", "JSONDialect.event", "FlatJSONDialect.event"),
    # For recovery.
    *("JSONDialect.with_position", "FlatJSONDialect.with_position"),
    # For the package's own budgets, which are counted.
    "Budget.__init__.meter",
    # For the middleware, which knows its app.
    "Realtime.__init__.host",
    # Objects that tests pass instead of those of the package.
    "Realtime.__init__.backends",
    # For `asgi_realtime.django`.
    "Realtime.__init__.around_host_code",
}
MEANT_BY_AN_EXPORTED_NAME = {Gateway, NamespaceFamily, AnyConnection, Addressable}
"""`Mountable` is the first two; a `Connection` and a `SyncConnection` are the third; a `Mountable` is the fourth."""


def signatures() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every exported function, and the methods and properties of every exported class."""
    for name, value in EXPORTED.items():
        if not getattr(value, "__module__", "").startswith("asgi_realtime"):
            continue
        if inspect.isfunction(value):
            yield name, value
        elif isinstance(value, type):
            for member, found in inspect.getmembers_static(value):
                function = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
                function = function.function if isinstance(function, sync_too) else function
                made = member == "__init__" and name not in NOT_MADE_BY_HOSTS
                public = made or not member.startswith("_")
                inside = issubclass(value, Gateway) and member in OF_GATEWAYS
                if public and inspect.isfunction(function) and not inside:
                    yield f"{name}.{member}", function


SIGNATURES = {name: function for name, function in signatures() if name not in NOT_CALLED_BY_HOSTS}


def own(hint: Any) -> Iterator[Any]:
    """The classes and new types of this package in an annotation."""
    if isinstance(hint, list | tuple):
        for each in hint:
            yield from own(each)
        return
    for each in typing.get_args(hint):
        yield from own(each)
    kind = typing.get_origin(hint) or hint
    if isinstance(kind, type | typing.NewType) and (kind.__module__ or "").startswith("asgi_realtime"):
        yield kind


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_names_only_what_is_exported(name: str) -> None:
    # Imports that are only for type checkers.
    names = {"httpx": httpx, "Iterable": Iterable, "Json": Any, "AnyConnection": AnyConnection, "Position": Position}
    names["RedisClient"] = Redis | RedisCluster
    hints = typing.get_type_hints(SIGNATURES[name], localns={**names, **EXPORTED})
    for argument, hint in hints.items():
        if f"{name}.{argument}" in NOT_CALLED_BY_HOSTS:
            continue
        found = set(own(hint)) - MEANT_BY_AN_EXPORTED_NAME
        if argument == "return":
            found = {kind for kind in found if not isinstance(kind, typing.NewType)}  # it is a `str`
        assert found <= {value for value in EXPORTED.values() if isinstance(value, type)}, f"{name}({argument})"


def test_the_checked_signatures_include_hooks_calls_and_constructors() -> None:
    hooks = {"SocketIOGateway.on_connect", "WebSocketGateway.rejected_frame", "MewGateway.recipient_filter"}
    calls = {"Broadcaster.of", "MewBroadcaster.server_kick", "create_token", "RealtimeTestClient.connect"}
    makes = {"JWTVerifier.__init__", "ChatGateway.__init__", "RealtimeTestClient.__init__"}
    assert hooks | calls | makes <= SIGNATURES.keys()
