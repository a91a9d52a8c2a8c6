"""Class-based namespaces: python-socketio's, fitted to our server."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import socketio

from asgi_realtime.runtime.host_threads import run_in_thread
from asgi_realtime.runtime.sync_proxy import SyncProxy, sync_method
from asgi_realtime.socketio.handlers import call_handler, fitting, refuse_unfit
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.values.json import Json

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
        self.server = SyncSocketIOServer(server)


class SyncSocketIOServer(SyncProxy[SocketIOServer]):
    """The methods of a `SocketIOServer` for threads. Each waits until the event loop has done the work.

    Each raises `RuntimeError` on the event loop's own thread, where it would wait for itself; before start-up;
    and after shutdown, which also ends the calls that are waiting. `rooms`, `transport` and `get_environ` do not wait,
    so they can be called anywhere.
    """

    def __init__(self, server: SocketIOServer) -> None:
        self._target = server

    emit = sync_method(SocketIOServer.emit)
    send = sync_method(SocketIOServer.send)
    call = sync_method(SocketIOServer.call)
    enter_room = sync_method(SocketIOServer.enter_room)
    leave_room = sync_method(SocketIOServer.leave_room)
    close_room = sync_method(SocketIOServer.close_room)
    get_session = sync_method(SocketIOServer.get_session)
    save_session = sync_method(SocketIOServer.save_session)
    disconnect = sync_method(SocketIOServer.disconnect)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """See `SocketIOServer.rooms`."""
        return self._target.rooms(sid, namespace)

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """See `SocketIOServer.transport`."""
        return self._target.transport(sid, namespace)

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """See `SocketIOServer.get_environ`."""
        return self._target.get_environ(sid, namespace)

    @contextlib.contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[dict[str, Any]]:
        """`with server.session(sid) as session:` saves a client's session at the end of the block, also if it raises.

        Raises:
            KeyError: if the client is not connected when the block begins.
            RuntimeError: if the server stopped before the block ended. The session is not saved then.
        """
        session = self.get_session(sid, namespace)
        try:
            yield session
        except BaseException:
            with contextlib.suppress(KeyError, RuntimeError):  # the client or the server has gone
                self.save_session(sid, session, namespace)
            raise
        with contextlib.suppress(KeyError):
            self.save_session(sid, session, namespace)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        context = self._target.mounted
        if context is None:
            work.close()
            raise RuntimeError("the Socket.IO server is not mounted: pass it to ASGIApp or RealtimeMiddleware")
        return context.loop_bridge.run(work)
