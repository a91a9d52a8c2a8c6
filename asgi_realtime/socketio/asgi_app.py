"""python-socketio's `ASGIApp`: a `SocketIOServer` as an application of its own, or in front of another."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import starlette.types
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.lifecycle.mounting import check_app
from asgi_realtime.middleware import RealtimeMiddleware
from asgi_realtime.runtime.asgi_scope import redact_query
from asgi_realtime.settings import Settings
from asgi_realtime.socketio.options import settings_with
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.socketio.static_files import StaticFileRule, StaticFiles

LifespanHook: TypeAlias = Callable[[], Any]
"""A function or coroutine function that is called at start-up or shutdown."""


class ASGIApp:
    """Serves a `SocketIOServer`, static files, and everything else from another app (or 404).

    It contains a `RealtimeMiddleware`. Its settings are those of the environment, changed by the
    server's options. To mount other gateways too, pass the server to a `RealtimeMiddleware` instead.

    Args:
        socketio_server: the server.
        other_asgi_app: gets every request that is not for the server, and the lifespan.
        static_files: see `StaticFiles`.
        socketio_path: the path of the server. None: the server gets all requests.
        on_startup: called when the application starts; may be a coroutine function.
        on_shutdown: called when it stops.

    Raises:
        ConfigurationError: for options that cannot work.
    """

    def __init__(
        self,
        socketio_server: SocketIOServer,
        other_asgi_app: starlette.types.ASGIApp | None = None,
        static_files: Mapping[str, StaticFileRule] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: LifespanHook | None = None,
        on_shutdown: LifespanHook | None = None,
    ) -> None:
        _check_arguments(
            socketio_server, socketio_path, static_files, {"on_startup": on_startup, "on_shutdown": on_shutdown}
        )
        if other_asgi_app is not None:
            check_app(other_asgi_app, "ASGIApp")
        self._path = None if socketio_path is None else "/" + socketio_path.strip("/")
        settings = settings_with(Settings.from_env(), socketio_server.options, self._path)
        other = _OtherApp(other_asgi_app, StaticFiles(static_files or {}), on_startup, on_shutdown)
        self.app = RealtimeMiddleware(other, gateways=[socketio_server], settings=settings)
        """The middleware this application is."""
        self.app.realtime  # noqa: B018  # wrong options are an error here, not at start-up
        self._served = settings.socketio_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope."""
        await self.app(self._with_server_path(scope), receive, send)

    def _with_server_path(self, scope: Scope) -> Scope:
        """The scope with the path that the middleware expects."""
        if scope["type"] == "lifespan":
            return scope
        path: str = scope["path"]
        if self._path is None:
            changed = {**scope, "path": self._served + "/", "root_path": ""}
        elif scope.get("root_path") and (path == self._path or path.startswith(self._path + "/")):
            # python-socketio's users write the whole path here, the prefix of a mount included.
            changed = {**scope, "root_path": ""}
        else:
            return scope
        redact_query(scope)  # the web server writes this scope into its log
        return changed


class _OtherApp:
    """The app that the middleware wraps: static files, the other app, and the two hooks."""

    def __init__(
        self,
        app: starlette.types.ASGIApp | None,
        files: StaticFiles,
        on_startup: LifespanHook | None,
        on_shutdown: LifespanHook | None,
    ) -> None:
        self._app = app
        self._files = files
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        found = self._files.find(scope["path"]) if scope["type"] == "http" else None
        if found is not None:
            await FileResponse(found[0], media_type=found[1])(scope, receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the hooks around the other app's lifespan: `on_startup` before its start, `on_shutdown` after its end."""
        asked = False

        async def receive_event() -> Message:
            nonlocal asked
            asked = True
            event = await receive()
            if event["type"] == "lifespan.startup":
                await _call(self._on_startup, "lifespan.startup.failed", send)
            return event

        async def send_event(event: Message) -> None:
            if event["type"] == "lifespan.shutdown.complete":
                await _call(self._on_shutdown, "lifespan.shutdown.failed", send)
            await send(event)

        if self._app is not None:
            try:
                await self._app(scope, receive_event, send_event)
            except Exception:
                if asked:
                    raise
            if asked:
                return
        # There is no other app, or it has no lifespan.
        await receive_event()
        await send_event({"type": "lifespan.startup.complete"})
        await receive_event()
        await send_event({"type": "lifespan.shutdown.complete"})


def _check_arguments(server: object, path: object, files: object, hooks: Mapping[str, object]) -> None:
    kind = server.__name__ if isinstance(server, type) else type(server).__name__
    if not isinstance(server, SocketIOServer):
        what = "the class" if isinstance(server, type) else "a"
        raise ConfigurationError(
            f"ASGIApp(socketio_server) takes an instance of asgi_realtime's SocketIOServer, not {what} {kind}"
        )
    if path is not None and not isinstance(path, str):
        raise ConfigurationError(f"ASGIApp(socketio_path=...) takes text such as 'socket.io', not {path!r}")
    if files is not None and not isinstance(files, Mapping):
        raise ConfigurationError("ASGIApp(static_files=...) takes a dict from URL paths to files")
    for name, hook in hooks.items():
        if hook is not None and not callable(hook):
            raise ConfigurationError(f"ASGIApp({name}=...) takes a function, not {hook!r}")


async def _call(hook: LifespanHook | None, failure: str, send: Send) -> None:
    try:
        result = None if hook is None else hook()
        if inspect.isawaitable(result):
            await result
    except Exception:
        await send({"type": failure, "message": traceback.format_exc()})
        raise
