"""Class-based namespaces: python-socketio's, fitted to our server."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import socketio

from asgi_realtime.runtime.host_threads import run_in_thread
from asgi_realtime.socketio.handlers import call_handler, fitting, refuse_unfit
from asgi_realtime.values.ids import Id
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from asgi_realtime.socketio.server import SocketIOServer

T = TypeVar("T")


class AsyncNamespace(socketio.AsyncNamespace):  # type: ignore[misc]  # published without types
    """The handlers of one namespace as methods: `on_connect`, `on_disconnect`, `on_<event>`.

    Methods may be coroutines. `self.emit`, `self.enter_room` and the others are the server's, with
    this namespace as the default.
    """

    async def trigger_event(self, event: str, *args: Json) -> Any:
        """Call the method of an event. Override it to dispatch in your own way."""
        method = getattr(self, f"on_{event}", None)
        if method is None:
            return None
        return await call_handler(method, event, *args)


class Namespace(socketio.Namespace):  # type: ignore[misc]  # published without types
    """The same for code written in the blocking style: methods run in a thread, one client's one after another.

    There `self.emit`, `self.call` and the others wait until the event loop has done the work.
    """

    async def trigger_event(self, event: str, *args: Json) -> Any:
        """Call the method of an event in a thread."""
        method = getattr(self, f"on_{event}", None)
        if method is None:
            return None
        try:
            return await run_in_thread(method, *fitting(method, event, args))
        except TypeError:
            refuse_unfit(method, event, args)
            raise

    def is_asyncio_based(self) -> bool:
        """Whether `trigger_event` is for the event loop: it is, the methods are not."""
        return True

    def _set_server(self, server: SocketIOServer) -> None:
        self.server = SyncServer(server)


class SyncServer:
    """The methods of a `SocketIOServer` for threads. Each waits until it is done."""

    def __init__(self, server: SocketIOServer) -> None:
        self._server = server

    def emit(self, event: str, data: Any = None, **options: Any) -> None:
        """See `SocketIOServer.emit`."""
        self._run(self._server.emit(event, data, **options))

    def send(self, data: Any, **options: Any) -> None:
        """See `SocketIOServer.send`."""
        self._run(self._server.send(data, **options))

    def call(self, event: str, data: Any = None, **options: Any) -> Json:
        """See `SocketIOServer.call`."""
        return self._run(self._server.call(event, data, **options))

    def enter_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """See `SocketIOServer.enter_room`."""
        self._run(self._server.enter_room(sid, room, namespace))

    def leave_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """See `SocketIOServer.leave_room`."""
        self._run(self._server.leave_room(sid, room, namespace))

    def close_room(self, room: Id, namespace: str | None = None) -> None:
        """See `SocketIOServer.close_room`."""
        self._run(self._server.close_room(room, namespace))

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """See `SocketIOServer.rooms`."""
        return self._server.rooms(sid, namespace)

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """See `SocketIOServer.get_session`."""
        return self._run(self._server.get_session(sid, namespace))

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """See `SocketIOServer.save_session`."""
        self._run(self._server.save_session(sid, session, namespace))

    @contextlib.contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[dict[str, Any]]:
        """See `SocketIOServer.session`."""
        session = self.get_session(sid, namespace)
        yield session
        self.save_session(sid, session, namespace)

    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """See `SocketIOServer.disconnect`."""
        self._run(self._server.disconnect(sid, namespace))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        parts = self._server.mounted
        if parts is None:
            work.close()
            raise RuntimeError("the Socket.IO server is not mounted: pass it to ASGIApp or RealtimeMiddleware")
        return parts.broadcaster.sync.run(work)
