"""Refuses routes of the host at the paths of gateways: no request would reach them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from asgi_realtime.errors import ConfigurationError

_MOST_LAYERS = 100


def check_routes(app: object, websockets: Iterable[str], socketio_path: str | None) -> None:
    """Check the routes of a Starlette or FastAPI app. Those of included routers and mounted apps are not checked.

    Args:
        app: the app, or middleware around it.
        websockets: the paths of JSON gateways.
        socketio_path: the path of Socket.IO. None: the host has it.

    Raises:
        ConfigurationError: for a route that the gateways hide, with what to do.
    """
    paths = frozenset(websockets)
    for route in _routes_of(app):
        if isinstance(route, WebSocketRoute) and route.path in paths:
            raise hidden_by_gateway(route.path)
        if socketio_path is not None and isinstance(route, Route | WebSocketRoute | Mount):
            if below_socketio(route.path, socketio_path):
                raise hidden_by_gateway(route.path, socketio_path)


def below_socketio(path: str, socketio_path: str) -> bool:
    """Whether a path is the one of Socket.IO, or below it."""
    return f"{path}/".startswith(f"{socketio_path}/")


def hidden_by_gateway(path: str, socketio_path: str | None = None) -> ConfigurationError:
    """The error about a route of the host.

    Args:
        path: the path of the route.
        socketio_path: the path of Socket.IO, if the route is there or below it. None: a JSON gateway is mounted at
            the path of the route.
    """
    if socketio_path is None:
        return ConfigurationError(
            f"the WebSocket route {path} of the app is never reached, because a gateway is mounted at this "
            "path; remove the route, or give the gateway another path"
        )
    return ConfigurationError(
        f"the route {path} of the app is never reached, because Socket.IO is served at "
        f"{socketio_path}; remove the route, or set MEW_SOCKETIO_PATH"
    )


def _routes_of(app: object) -> Sequence[BaseRoute]:
    for _ in range(_MOST_LAYERS):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list):
            return routes
        app = getattr(app, "app", None)
    return ()
