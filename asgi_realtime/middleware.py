"""The ASGI face: one middleware in front of a host app."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime.broadcaster import Broadcaster
from asgi_realtime.cors import SharedCORS
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.chat import ChatGateway
from asgi_realtime.gateways.chat_broadcaster import ChatBroadcaster
from asgi_realtime.gateways.events import EventsBroadcaster, EventsGateway
from asgi_realtime.gateways.jobs import JobsBroadcaster, JobsGateway
from asgi_realtime.gateways.mew import MewBroadcaster, MewGateway
from asgi_realtime.lifespan import Lifespan
from asgi_realtime.metrics import Metrics
from asgi_realtime.realtime import Mountable, Realtime
from asgi_realtime.settings import Settings

SCOPE_KEY = "asgi_realtime"
"""Where a request's scope holds the `Realtime` it came through."""


class RealtimeMiddleware:
    """Mounts gateways beside a host app's own routes.

    `app.add_middleware(RealtimeMiddleware, gateways=[...])` and `RealtimeMiddleware(app, gateways=[...])`
    are the same. `gateways` None mounts one `SocketIOGateway("/")`; `settings` None reads the
    environment. Requests for the gateways' paths are served here; all others reach the host as they came.

    A configuration that cannot work ends the server's start-up with a message that names the variable.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gateways: Sequence[Mountable] | None = None,
        settings: Settings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._app = app
        self._realtime: Realtime | None = None
        self._error: ConfigurationError | None = None
        try:
            self._realtime = Realtime(gateways=gateways, settings=settings, metrics=metrics)
        except ConfigurationError as error:
            # Frameworks build their middleware while the server starts: raised there, servers take
            # the error for a missing lifespan and go on. It is reported when start-up is asked for.
            self._error = error
            return
        self._cors = SharedCORS(app, self._realtime.origins)
        self._engineio_path = self._realtime.settings.socketio_path.rstrip("/")
        self._engineio_prefix = self._engineio_path + "/"

    @property
    def realtime(self) -> Realtime:
        """The parts behind this middleware.

        Raises:
            ConfigurationError: if a setting is missing or wrong.
        """
        if self._realtime is None:
            assert self._error is not None
            raise self._error
        return self._realtime

    @property
    def broadcaster(self) -> Broadcaster:
        """The broadcaster that `get_broadcaster` injects, for code that has the middleware at hand."""
        return self.realtime.broadcaster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope, or pass it on."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self._app, start=self._start, stop=self._stop)(scope, receive, send)
            return
        realtime = self.realtime
        path = _route_path(scope)
        if not realtime.started:
            await realtime.start()  # a server that has no lifespan, or was told not to use it
        if path.startswith(self._engineio_prefix) or path == self._engineio_path:
            await realtime.engineio(scope, receive, send)
        elif kind == "websocket" and path in realtime.websockets:
            await realtime.websockets[path](scope, receive, send)
        else:
            scope[SCOPE_KEY] = realtime
            if kind == "http" and self._cors.concerns(scope):
                await self._cors(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _start(self) -> None:
        await self.realtime.start()

    async def _stop(self) -> None:
        await self.realtime.stop()


def _route_path(scope: Scope) -> str:
    """The path below the prefix that the app is mounted at, which servers may or may not leave in `path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path


def _realtime_of(conn: HTTPConnection) -> Realtime:
    realtime: Realtime | None = conn.scope.get(SCOPE_KEY)
    if realtime is None:
        raise ConfigurationError(
            "this request did not come through RealtimeMiddleware; mount it: app.add_middleware(RealtimeMiddleware)"
        )
    return realtime


def _broadcaster_of(conn: HTTPConnection, kind: type[Gateway]) -> Broadcaster:
    """The broadcaster of the mounted gateway of a class."""
    realtime = _realtime_of(conn)
    return realtime.broadcaster.of(realtime.one(kind).name)


async def get_broadcaster(conn: HTTPConnection) -> Broadcaster:
    """The app's broadcaster: for FastAPI's `Depends`, or called with a Starlette request or WebSocket.

    Raises:
        ConfigurationError: if the request did not come through the middleware.
    """
    return _realtime_of(conn).broadcaster


async def get_mew_broadcaster(conn: HTTPConnection) -> MewBroadcaster:
    """The typed broadcaster of the mounted `MewGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted.
    """
    return MewBroadcaster(_broadcaster_of(conn, MewGateway))


async def get_events_broadcaster(conn: HTTPConnection) -> EventsBroadcaster:
    """The typed broadcaster of the mounted `EventsGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted.
    """
    return EventsBroadcaster(_broadcaster_of(conn, EventsGateway))


async def get_chat_broadcaster(conn: HTTPConnection) -> ChatBroadcaster:
    """The typed broadcaster of the mounted `ChatGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted.
    """
    return ChatBroadcaster(_broadcaster_of(conn, ChatGateway))


async def get_jobs_broadcaster(conn: HTTPConnection) -> JobsBroadcaster:
    """The typed broadcaster of the mounted `JobsGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted.
    """
    return JobsBroadcaster(_broadcaster_of(conn, JobsGateway))
