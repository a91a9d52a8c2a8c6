"""The parts of an application under test."""

from __future__ import annotations

from typing import Any

from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.middleware import RealtimeMiddleware
from asgi_realtime.realtime import Realtime

_INNER = ("middleware_stack", "asgi_handler", "asgi_app", "app")
"""The attributes with what an application calls: of Starlette, of Litestar, of Quart, and of any middleware."""
_MOST_LAYERS = 100


def find_middleware(app: Any) -> RealtimeMiddleware:
    """Look through the layers of an application, as frameworks name them.

    Raises:
        ConfigurationError: there is none.
    """
    layer = app
    for _ in range(_MOST_LAYERS):  # the innermost layer of Litestar has the app as its `app`
        if isinstance(layer, RealtimeMiddleware):
            return layer
        layer = next((getattr(layer, name) for name in _INNER if getattr(layer, name, None) is not None), None)
        if layer is None:
            break
    raise ConfigurationError(f"there is no RealtimeMiddleware in front of {app!r}")


def host_of(app: Any) -> Any:
    """The app of a framework that is below the middleware. The app runs."""
    return find_middleware(app).realtime.host.app


def refuse_redis(app: Any) -> None:
    """Check, before an application starts, that it will not connect to Redis.

    Raises:
        ConfigurationError: it will, or its settings are wrong.
    """
    if getattr(app, "middleware_stack", app) is None and hasattr(app, "build_middleware_stack"):
        app.middleware_stack = app.build_middleware_stack()  # as Starlette does at the first request
    try:
        found = find_middleware(app)
    except ConfigurationError:
        return  # a framework that makes its layers during the start; `memory_broker` looks later
    memory_broker(found.realtime)


def memory_broker(realtime: Realtime) -> MemoryBroker:
    """The broker of an application with one process.

    Raises:
        ConfigurationError: the application uses Redis.
    """
    if isinstance(realtime.broker, MemoryBroker):
        return realtime.broker
    raise ConfigurationError(
        "this app uses Redis, and this test runs without it: make the app of the tests with Settings(redis_url=None), "
        "or without MEW_REDIS_URL and redis="
    )
