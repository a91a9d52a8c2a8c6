"""The middleware: it serves the gateways' paths, and passes all other requests to the host app."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime.auth.cors import SharedCORS
from asgi_realtime.auth.trusted_proxies import TrustedProxies
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.mounted import SCOPE_KEY, mounted_in, no_middleware
from asgi_realtime.handlers.dependencies.host_app import HostApp
from asgi_realtime.lifecycle.hidden_routes import check_routes
from asgi_realtime.lifecycle.inflation_warning import InflationWarning
from asgi_realtime.lifecycle.lifecycle import OtherLoop
from asgi_realtime.lifecycle.lifespan import Lifespan, ends_start
from asgi_realtime.lifecycle.middleware_lists import check_list
from asgi_realtime.lifecycle.mounting import Mountable, check_app, refuse_arguments, warn_of_adapter
from asgi_realtime.metrics import Metrics
from asgi_realtime.realtime import Realtime
from asgi_realtime.runtime.asgi_scope import redact_query
from asgi_realtime.runtime.failed_start import FailedStart
from asgi_realtime.runtime.host_code import AroundHostCode
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing
from asgi_realtime.uvicorn.take_over import serve_websocket

if TYPE_CHECKING:
    from asgi_realtime.redis.ready_client import RedisClient

ScopeEntries: TypeAlias = tuple[tuple[Realtime, str], ...]
"""What a scope holds below `SCOPE_KEY`: what each middleware serves and its `root_path`, the innermost first."""

_ARGUMENTS = ("gateways", "settings", "metrics", "tracing", "redis")


class RealtimeMiddleware:
    """Mounts gateways beside a host app's own routes.

    `app.add_middleware(RealtimeMiddleware, gateways=[...])` and `RealtimeMiddleware(app, gateways=[...])`
    are the same. It serves requests for the gateways' paths, and passes all others to the host unchanged. Without a
    Socket.IO gateway the host keeps the path of Socket.IO too.

    Args:
        app: the host's ASGI app.
        gateways: the gateways. None: one `SocketIOGateway("/")`. An empty list: none.
        settings: the configuration. None: it is read from the environment.
        metrics: what the metrics are passed to, such as `PrometheusMetrics()`. None: nothing is counted.
        tracing: makes spans of events and broadcasts, such as `OpenTelemetryTracing()`. None: nothing is traced.
        redis: a client of `redis.asyncio` for the Redis that joins the processes of the app, instead of
            `MEW_REDIS_URL`. Its options are used, and not the client itself. None: `MEW_REDIS_URL` decides.

    A mistake in the arguments ends the server's start-up with a message that says what to write.

    Raises:
        ConfigurationError: in the list of middleware of Litestar or Django, which serves only the app's own routes.
    """

    _around_host_code: AroundHostCode | None = None
    """What a framework does around code of the host. A subclass for that framework sets it."""

    if not TYPE_CHECKING:  # accepts all arguments, to report wrong ones at start-up

        def __init__(
            self, app, *positional, gateways=None, settings=None, metrics=None, tracing=None, redis=None, **unknown
        ):
            self._mount(app, gateways, settings, metrics, tracing, redis, positional, unknown)

    else:  # type checkers see this signature, and so does the reference of the site, which takes the last one

        def __init__(
            self,
            app: ASGIApp,
            *,
            gateways: Sequence[Mountable] | None = None,
            settings: Settings | None = None,
            metrics: Metrics | None = None,
            tracing: Tracing | None = None,
            redis: RedisClient | None = None,
        ) -> None: ...

    def _mount(
        self,
        app: ASGIApp,
        gateways: Sequence[Mountable] | None,
        settings: Settings | None,
        metrics: Metrics | None,
        tracing: Tracing | None,
        redis: RedisClient | None,
        positional: Sequence[object],
        unknown: Mapping[str, object],
    ) -> None:
        self._app = app
        self._realtime: Realtime | None = None
        self._failed: FailedStart | None = None
        self._failed_on: asyncio.AbstractEventLoop | None = None
        self._inflation = InflationWarning()
        if type(self).__call__ is RealtimeMiddleware.__call__:
            # Servers look here for a coroutine function, to distinguish ASGI 3 from ASGI 2.
            self.__call__ = self._serve  # type: ignore[method-assign, assignment]
        check_list(app)  # raises: these frameworks make their middleware while the app is made
        try:
            refuse_arguments("RealtimeMiddleware", positional, unknown, _ARGUMENTS)
            if isinstance(app, Realtime):
                raise ConfigurationError(
                    "RealtimeMiddleware wraps a Realtime, not an app; write RealtimeMiddleware(app)"
                )
            check_app(app)
            warn_of_adapter(app)
            realtime = Realtime(
                gateways=gateways,
                settings=settings,
                metrics=metrics,
                tracing=tracing,
                redis=redis,
                around_host_code=self._around_host_code,
                host=HostApp(app),
            )
            socketio_path = realtime.settings.socketio_path if realtime.serves_socketio else None
            check_routes(app, realtime.websockets, socketio_path)
            self._realtime = realtime
        except Exception as error:
            # Frameworks make their middleware while the server starts. Servers treat an error there as a missing
            # lifespan, and continue. So it is reported by the lifespan, or by the first request.
            self._failed = FailedStart(error)
            return
        peers = self._realtime.settings.trusted_proxies
        self._proxies = TrustedProxies(peers) if peers else None
        self._cors = SharedCORS(app, self._realtime.origins, self._proxies, self._realtime.refusals)
        self._engineio_path = self._realtime.settings.socketio_path
        self._engineio_prefix = self._engineio_path + "/"
        if not self._realtime.serves_socketio:
            self._engineio_path = self._engineio_prefix = "\0"  # equal to no path

    @property
    def realtime(self) -> Realtime:
        """What serves the gateways.

        Raises:
            ConfigurationError: if a setting is missing or wrong.
        """
        if self._realtime is None:
            assert self._failed is not None
            raise self._failed.error
        return self._realtime

    @property
    def broadcaster(self) -> Broadcaster:
        """The broadcaster that `get_broadcaster` injects."""
        return self.realtime.broadcaster

    def __call__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> Awaitable[None]:
        """Serve a scope, or pass it on."""
        if receive is None or send is None:
            return cast("Awaitable[None]", _misused(receive))
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        realtime = self._realtime
        if realtime is None:
            assert self._failed is not None
            if scope["type"] != "lifespan":
                redact_query(scope)
            await self._failed(scope, receive, send)
            return
        kind = scope["type"]
        outer: ScopeEntries = scope.get(SCOPE_KEY, ())
        root: str = scope.get("root_path", "")
        if outer and (conflict := self._conflict(realtime, outer, root)) is not None:
            await conflict(scope, receive, send)
            return
        here = _get_running_loop()
        if not outer and kind != "http" and here is not None:
            self._inflation.look(receive if kind == "lifespan" else send)
        lifecycle = realtime.lifecycle
        if kind == "lifespan":
            scope[SCOPE_KEY] = ((realtime, root), *outer)
            realtime.host.found(scope, SCOPE_KEY)
            await Lifespan(self._app, start=lifecycle.hold, stop=lifecycle.release)(scope, receive, send)
            return
        path = _route_path(scope)
        is_engineio = path.startswith(self._engineio_prefix) or path == self._engineio_path
        page = realtime.page_at(path) if realtime.pages and kind == "http" else None
        is_gateway = is_engineio or page is not None or (kind == "websocket" and path in realtime.websockets)
        if here is None or (lifecycle.loop is not here and lifecycle.stopping is not here):
            # The server runs no lifespan, or a test has an event loop for each request.
            realtime.host.found({**scope, SCOPE_KEY: ((realtime, root), *outer)}, SCOPE_KEY)
            failed = await self._start(realtime)
            if failed is not None and (is_gateway or not isinstance(failed.error, OtherLoop)):
                redact_query(scope)
                await failed(scope, receive, send)
                return
        if is_gateway:
            realtime.signals.listen(send)
            if self._proxies is not None:
                self._proxies.rewrite(scope)
            gateway: ASGIApp = realtime.engineio if is_engineio else page or realtime.websockets[path]
            if kind == "websocket" and realtime.settings.fast_writes:
                await serve_websocket(gateway, scope, receive, send)
            else:
                await gateway(scope, receive, send)
        else:
            if path.rstrip("/") in realtime.websockets and scope["query_string"]:
                # Meant for a gateway, but without an upgrade (a proxy's mistake) or with a slash at the end. The host
                # gets the query unchanged. The server's scope, which it logs, must not have a token in it.
                scope, logged = dict(scope), scope
                redact_query(logged)
            scope[SCOPE_KEY] = ((realtime, root), *outer)
            if kind == "http" and self._cors.applies_to(scope):
                await self._cors(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _start(self, realtime: Realtime) -> FailedStart | None:
        """Start on the running event loop. A start that failed is not repeated on the same loop."""
        loop = _get_running_loop()
        failed = self._failed
        if failed is None or self._failed_on is not loop or isinstance(failed.error, OtherLoop):
            try:
                await realtime.start()
            except OtherLoop as error:
                # The other loop may end at any time, so this is tried again. It is reported once.
                other = failed is not None and isinstance(failed.error, OtherLoop)
                self._failed = failed if other else FailedStart(error)
            except BaseException as error:
                if not ends_start(error):
                    raise
                if self._failed is None or self._failed.error is not error:  # else another request has reported it
                    self._failed, self._failed_on = FailedStart(error), loop
            else:
                self._failed = self._failed_on = None
        return self._failed

    def _conflict(self, realtime: Realtime, outer: ScopeEntries, root: str) -> FailedStart | None:
        """The answer if an outer middleware serves a path of this one. None: there is no such path."""
        if self._failed is not None and isinstance(self._failed.error, PathConflict):
            return self._failed
        for other, other_root in outer:
            conflicts = [
                path for path in realtime.paths if root.rstrip("/") == other_root.rstrip("/") and other.serves(path)
            ]
            if conflicts:
                self._failed = FailedStart(PathConflict(conflicts[0]))
                return self._failed
        return None


class PathConflict(ConfigurationError):
    """Two middlewares of one app serve the same path."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"two RealtimeMiddleware of this app serve {path}, so the inner one is never reached; mount all gateways "
            "in one of them, or give one another path: Settings(socketio_path=...), WebSocketGateway(path)"
        )


def _misused(second: object) -> FailedStart:
    """The answer of an instance that was not called as an ASGI app."""
    if second is None:
        return FailedStart(
            ConfigurationError(
                "add_middleware takes the class, not an instance; write app.add_middleware(RealtimeMiddleware, "
                "gateways=[...])"
            )
        )
    raise ConfigurationError(
        "RealtimeMiddleware is an ASGI app and was called as a WSGI app; write "
        "asgi = RealtimeMiddleware(a2wsgi.WSGIMiddleware(app), gateways=[...]) and serve `asgi` by an ASGI server"
    )


def _route_path(scope: Scope) -> str:
    """The path below the prefix that the app is mounted at. Some servers include the prefix in `path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path


async def get_broadcaster(conn: HTTPConnection | Mapping[str, Any]) -> Broadcaster:
    """Return the app's broadcaster: for FastAPI's `Depends`, or called with a request.

    An app may have several `RealtimeMiddleware`, on different paths. The innermost is used: the one of the
    mounted app that the route is in, else the one that was added first.

    Args:
        conn: a request or WebSocket of Starlette or FastAPI, or an ASGI scope: `request.scope` in other frameworks.

    Raises:
        ConfigurationError: if the request did not come through the middleware.
    """
    middlewares = mounted_in(conn)
    if not middlewares:
        raise no_middleware()
    return middlewares[0].broadcaster


get_broadcaster.__annotations__["conn"] = HTTPConnection  # FastAPI reads it, and accepts no union
