"""For Litestar: a plugin that mounts gateways beside the app's routes, and injects the broadcaster."""

from __future__ import annotations

import logging
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.plugins import InitPlugin
from litestar.routes import HTTPRoute, WebSocketRoute
from litestar.types import Scope
from starlette.requests import HTTPConnection

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.mounted import mounted_in
from asgi_realtime.lifecycle.hidden_routes import below_socketio, hidden_by_gateway
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.metrics import Metrics
from asgi_realtime.middleware import RealtimeMiddleware, get_broadcaster
from asgi_realtime.realtime import Realtime
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing

if TYPE_CHECKING:
    from asgi_realtime.redis.ready_client import RedisClient

__all__ = ["RealtimePlugin", "provide"]

logger = logging.getLogger("asgi_realtime")


class RealtimePlugin(InitPlugin):
    """Mounts gateways in a Litestar app: `Litestar(..., plugins=[RealtimePlugin(gateways=[...])])`.

    While the app runs, a `RealtimeMiddleware` is in front of everything else: the router, the CORS of Litestar, and all
    middleware. It starts before the lifespan and the start-up hooks of the app, and stops after them. The app must be
    served with its lifespan. Handlers get the broadcaster as the dependency `broadcaster`.

    Args:
        gateways: the gateways. None: one `SocketIOGateway("/")`. An empty list: none.
        settings: the configuration. None: it is read from the environment at each start.
        metrics: as in `RealtimeMiddleware`.
        tracing: as in `RealtimeMiddleware`.
        redis: as in `RealtimeMiddleware`.
        dependency: the name of the dependency.

    A wrong setting, and a route that the gateways hide, end the start-up with a message that says what to write.

    Raises:
        ConfigurationError: when the app is made, if it has a dependency of this name already.
    """

    def __init__(
        self,
        *,
        gateways: Sequence[Mountable] | None = None,
        settings: Settings | None = None,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        redis: RedisClient | None = None,
        dependency: str = "broadcaster",
    ) -> None:
        self._dependency = dependency

        def wrap(app: Any) -> RealtimeMiddleware:
            return RealtimeMiddleware(
                app, gateways=gateways, settings=settings, metrics=metrics, tracing=tracing, redis=redis
            )

        self._wrap = wrap

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the dependency, the start and the stop. Litestar calls it once for each app."""
        name = self._dependency
        if name in app_config.dependencies:
            raise ConfigurationError(
                f"the app has a dependency {name!r} of its own; give that of the plugin another name: "
                'RealtimePlugin(dependency="...")'
            )
        app_config.dependencies[name] = provide(get_broadcaster)
        mounting = _Mounting(self._wrap)
        app_config.lifespan.insert(0, mounting.started)
        # After the app's own hooks, so that these may still broadcast.
        app_config.on_shutdown.append(mounting.stop)
        return app_config


class _Mounting:
    """The middleware of one app. Each start has a new one, because a plugin may be used by one app after another."""

    def __init__(self, wrap: Callable[[Any], RealtimeMiddleware]) -> None:
        self._wrap = wrap
        self._middleware: RealtimeMiddleware | None = None
        self._inner: Any = None

    @asynccontextmanager
    async def started(self, app: Litestar) -> AsyncIterator[None]:
        """Start the gateways, and put the middleware in front of the app."""
        self._inner = app.asgi_handler
        middleware = self._wrap(self._inner)
        try:
            _check(app, middleware.realtime)
            await middleware.realtime.start()
        except ConfigurationError as error:
            logger.error("asgi_realtime: %s", error)  # Litestar shows it at the end of a long traceback
            raise
        self._middleware = middleware
        app.asgi_handler = typing.cast("Any", middleware)  # Litestar's types of ASGI are not Starlette's
        yield

    async def stop(self, app: Litestar) -> None:
        """Stop the gateways, if they have started."""
        middleware, self._middleware = self._middleware, None
        if middleware is not None:
            await middleware.realtime.stop()
            app.asgi_handler = self._inner


def provide(dependency: Callable[[HTTPConnection], Awaitable[Any]]) -> Provide:
    """Make a dependency of Litestar of one that the package has for FastAPI.

    For the typed broadcasters: `Litestar(..., dependencies={"mew": provide(get_mew_broadcaster)})`. It works in
    handlers of requests and of WebSockets. Without the lifespan of the app it raises a `ConfigurationError`.
    """

    async def of_scope(scope: Scope) -> Any:
        if not mounted_in(scope):
            raise ConfigurationError(
                "the gateways of RealtimePlugin have not started; serve the app with its lifespan, and in tests write "
                "`with TestClient(app)`"
            )
        return await dependency(HTTPConnection(typing.cast("Any", scope)))

    return Provide(of_scope)


def _check(app: Litestar, realtime: Realtime) -> None:
    """Refuse what would fail with the first request.

    Raises:
        ConfigurationError: with what to write.
    """
    for route in app.routes:
        if isinstance(route, WebSocketRoute) and route.path in realtime.websockets:
            raise hidden_by_gateway(route.path)
        if realtime.serves_socketio and below_socketio(route.path, realtime.settings.socketio_path):
            raise hidden_by_gateway(route.path, realtime.settings.socketio_path)
        for handler in _handlers(route):
            for provider in handler.resolve_dependencies().values():
                _check_provider(provider)


def _handlers(route: Any) -> Iterator[BaseRouteHandler]:
    yield from route.route_handlers if isinstance(route, HTTPRoute) else (route.route_handler,)


def _check_provider(provider: Provide) -> None:
    function: Any = provider.dependency
    if HTTPConnection in _types(function):
        name = getattr(function, "__name__", type(function).__name__)
        raise ConfigurationError(
            f"Provide({name}) takes a connection of Starlette, which Litestar does not have; write "
            f"provide({name}), imported from asgi_realtime.litestar"
        )


def _types(function: Any) -> Sequence[Any]:
    try:
        return [*typing.get_type_hints(function).values()]
    except (NameError, TypeError):  # a type that is imported for type checkers only; or not a function
        return []
