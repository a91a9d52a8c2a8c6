"""What dependencies may know of the host app: its overrides, its dependencies by name, and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from asgi_realtime.connection.connection import Connection

_MOST_LAYERS = 100


class HandshakeConnection(HTTPConnection):
    """The handshake of the client that sent an event, as Starlette shows it.

    It has `app`, `state`, `path`, `query_params` and `client` (with port 0). `headers` and `cookies` are there during
    `on_connect`.
    """

    @property
    def headers(self) -> Headers:
        """The headers of the handshake, while `on_connect` runs.

        Raises:
            RuntimeError: later, because they are dropped then.
        """
        if not self.scope["headers"]:
            self._dropped("headers")
        return super().headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the handshake, while `on_connect` runs.

        Raises:
            RuntimeError: later, because they are dropped then.
        """
        if not self.scope["headers"]:
            self._dropped("cookies")
        return super().cookies

    def _dropped(self, what: str) -> NoReturn:
        raise RuntimeError(
            f"the {what} of a handshake are dropped when on_connect has returned: keep what you need in "
            "connection.state, or take `identity: Identity`"
        )


class HostApp:
    """The app beside which the gateways are mounted.

    Args:
        below: the ASGI app that the middleware wraps, or middleware of the host around it. None: there is no app.
    """

    def __init__(self, below: object = None) -> None:
        self._app = _app_of(below)
        self._scope: Mapping[str, Any] = {}

    def found(self, scope: Mapping[str, Any], key: str) -> None:
        """Remember what a scope says of the app. Called at each start.

        Args:
            scope: of the lifespan, or of the first request.
            key: the key of what is mounted. `get_broadcaster` and similar functions read it.
        """
        self._scope = {name: scope[name] for name in ("app", "state", key) if name in scope}

    @property
    def app(self) -> Any:
        """The app. None: it is not known."""
        return self._app if self._app is not None else self._scope.get("app")

    @property
    def overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """`dependency_overrides` of the app, which FastAPI has. Empty: there are none."""
        return getattr(self.app, "dependency_overrides", None) or {}

    @property
    def named(self) -> Mapping[str, Any]:
        """The dependencies of a Litestar app, by name."""
        app = self._app
        if not any(kind.__module__.startswith("litestar.") for kind in type(app).__mro__):
            return {}
        found: Mapping[str, Any] = getattr(app, "dependencies", {})
        return found

    def handshake(self, connection: Connection) -> HandshakeConnection:
        """The handshake of a connection."""
        handshake = connection.handshake
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in handshake.headers.items()]
        scope = {
            **self._scope,
            "type": "websocket" if handshake.scheme in ("ws", "wss") else "http",
            "scheme": handshake.scheme,
            "path": handshake.path,
            "query_string": urlencode(handshake.query).encode(),
            "headers": headers,
            "client": None if handshake.client_address is None else (handshake.client_address, 0),
            "state": dict(self._scope.get("state", {})),
        }
        if self.app is not None:
            scope["app"] = self.app
        return HandshakeConnection(scope)


def _app_of(below: object) -> object | None:
    """The app below a host's middleware. None: it is not there, so that only a scope can name it."""
    for _ in range(_MOST_LAYERS):
        if below is None or hasattr(below, "state"):
            return below
        below = getattr(below, "app", None)
    return None
