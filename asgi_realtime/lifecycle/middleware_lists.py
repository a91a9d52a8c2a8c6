"""Refuses the lists of middleware of frameworks that pass it only requests of the app's own routes."""

from __future__ import annotations

import inspect

from asgi_realtime.errors import ConfigurationError

_MOST_LAYERS = 100


def check_list(app: object) -> None:
    """Refuse a place in the list of middleware of Litestar or Django. There, no gateway would ever be reached.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if _is_route_of_litestar(app):
        raise ConfigurationError(
            "RealtimeMiddleware is in Litestar's list of middleware, which serves only the app's own routes; write "
            "Litestar(..., plugins=[RealtimePlugin(gateways=[...])]) with asgi_realtime.litestar.RealtimePlugin"
        )
    if _is_handler_of_django(app):
        raise ConfigurationError(
            "RealtimeMiddleware is in Django's list MIDDLEWARE, which takes no ASGI middleware; write "
            "application = RealtimeMiddleware(get_asgi_application(), gateways=[...]) in asgi.py"
        )


def _is_route_of_litestar(app: object) -> bool:
    """Whether an app, below other middleware, is the method of a route."""
    for _ in range(_MOST_LAYERS):
        below = getattr(app, "app", None)
        if below is None:
            break
        app = below
    return inspect.ismethod(app) and type(app.__self__).__module__.startswith("litestar.")


def _is_handler_of_django(app: object) -> bool:
    """Whether this is what Django calls with a request, also below an adapter of asgiref."""
    handler = getattr(app, "awaitable", getattr(app, "func", app))
    function = getattr(handler, "__func__", handler)
    return str(getattr(function, "__globals__", {}).get("__name__")).startswith("django.core.handlers.")
