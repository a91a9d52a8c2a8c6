"""python-socketio's API: write `from asgi_realtime import socketio` instead of `import socketio`.

The server, its `ASGIApp` and its namespaces are this package's. The clients and the exceptions are
python-socketio's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socketio import (
        AsyncClient,
        AsyncClientNamespace,
        AsyncRedisManager,
        AsyncSimpleClient,
        Client,
        ClientNamespace,
        RedisManager,
        SimpleClient,
    )

    from asgi_realtime.socketio import exceptions
    from asgi_realtime.socketio.asgi_app import ASGIApp
    from asgi_realtime.socketio.namespace import AsyncNamespace, Namespace
    from asgi_realtime.socketio.server import SocketIOServer
    from asgi_realtime.socketio.server import SocketIOServer as AsyncServer

__all__ = [
    "ASGIApp",
    "AsyncClient",
    "AsyncClientNamespace",
    "AsyncNamespace",
    "AsyncRedisManager",
    "AsyncServer",
    "AsyncSimpleClient",
    "Client",
    "ClientNamespace",
    "Namespace",
    "RedisManager",
    "SimpleClient",
    "SocketIOServer",
    "exceptions",
]

_MODULES = {
    "ASGIApp": ("asgi_realtime.socketio.asgi_app", "ASGIApp"),
    "AsyncNamespace": ("asgi_realtime.socketio.namespace", "AsyncNamespace"),
    "AsyncServer": ("asgi_realtime.socketio.server", "SocketIOServer"),
    "Namespace": ("asgi_realtime.socketio.namespace", "Namespace"),
    "SocketIOServer": ("asgi_realtime.socketio.server", "SocketIOServer"),
}


def __getattr__(name: str) -> Any:
    # On first use, because python-socketio takes a tenth of a second to import.
    if name == "exceptions":
        return importlib.import_module("asgi_realtime.socketio.exceptions")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _MODULES.get(name, ("socketio", name))
    return getattr(importlib.import_module(module), attribute)
