"""Finds the gateways that an app has mounted, from one of its requests: ASGI or WSGI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from starlette.requests import HTTPConnection

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway

G = TypeVar("G", bound=Gateway)

SCOPE_KEY = "asgi_realtime"
"""Key of an ASGI scope. The value has an entry for each `RealtimeMiddleware` that the request came through: what
is mounted there (`Mounted`) and the `root_path` below which it serves. The innermost middleware is first."""
WSGI_KEY = "asgi.scope"
"""Key of a WSGI environment. The value is the ASGI scope; a2wsgi puts it there."""

RequestSource: TypeAlias = HTTPConnection | Mapping[str, Any]
"""A request or WebSocket of Starlette or FastAPI, an ASGI scope, or a WSGI environment."""


class Mounted(Protocol):
    """What one `RealtimeMiddleware` serves."""

    @property
    def broadcaster(self) -> Broadcaster:
        """Its broadcaster, narrowed to the first gateway."""

    @property
    def unready(self) -> str | None:
        """Why clients should not come: a value of `Unready`. None: they should."""

    def has(self, kind: type[Gateway]) -> bool:
        """Whether a gateway of a class is mounted."""

    def one(self, kind: type[G]) -> G:
        """The mounted gateway of a class.

        Raises:
            ConfigurationError: if none is mounted, or more than one.
        """


def find_gateway(source: RequestSource, kind: type[G]) -> G | None:
    """Return the mounted gateway of a class. None: the request did not come through a `RealtimeMiddleware`.

    An app may have several middlewares. The innermost that has such a gateway is used.

    Args:
        source: a request or WebSocket of Starlette or FastAPI, an ASGI scope, or a WSGI environment.
        kind: a class of gateways. A gateway of a subclass is found too.

    Raises:
        ConfigurationError: if the middleware has no gateway of this class, or more than one.
        TypeError: if `source` is something else.
    """
    middlewares = mounted_in(source)
    if not middlewares:
        return None
    return next((each for each in middlewares if each.has(kind)), middlewares[0]).one(kind)


def get_gateway(source: RequestSource, kind: type[G]) -> G:
    """Return the mounted gateway of a class. As `find_gateway`, but a request must come through a middleware.

    Raises:
        ConfigurationError: also if the request did not come through a `RealtimeMiddleware`.
        TypeError: if `source` is something else.
    """
    found = find_gateway(source, kind)
    if found is None:
        raise no_middleware()
    return found


def mounted_in(source: RequestSource) -> Sequence[Mounted]:
    """Return what each middleware serves that a request came through, the innermost first.

    Raises:
        TypeError: if `source` is neither a request nor a mapping.
    """
    scope: Any = getattr(source, "scope", source)
    if not isinstance(scope, Mapping):
        raise TypeError(
            "pass a Request, WebSocket or HTTPConnection, or a WSGI environment such as Flask's request.environ, "
            f"not {source!r}"
        )
    entries: Sequence[tuple[Mounted, str]] = scope.get(WSGI_KEY, scope).get(SCOPE_KEY, ())
    return [mounted for mounted, _ in entries]


def no_middleware() -> ConfigurationError:
    """The error about a request that did not come through a middleware."""
    return ConfigurationError(
        "this request did not come through RealtimeMiddleware; mount it: app.add_middleware(RealtimeMiddleware)"
    )
