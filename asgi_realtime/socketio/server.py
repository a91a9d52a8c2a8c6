"""python-socketio's `AsyncServer` as a gateway."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from asgi_realtime.socketio.base_server import BaseServer
from asgi_realtime.socketio.exceptions import TimeoutError
from asgi_realtime.values.field_types import is_positive
from asgi_realtime.values.ids import Id, id_text, id_texts
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from asgi_realtime.socketio.admin import AdminUI
    from asgi_realtime.socketio.admin_auth import AdminAuth

OneOrMany: TypeAlias = Id | Iterable[Id] | None
"""A `sid` or room, several of them, or None."""


_CALL_SECONDS: Final = 60
"""Seconds that `call` waits for an acknowledgement by default. python-socketio's default is the same."""


class SocketIOServer(BaseServer):
    """The API of python-socketio's `AsyncServer`. Mount it as a gateway, or serve it with `ASGIApp`.

        sio = SocketIOServer()
        app = RealtimeMiddleware(app, gateways=[sio])

    The differences to python-socketio: the events of one client are handled in the order sent, one
    at a time. A client cannot send `connect` or `disconnect` as events. A client gets broadcasts
    only once its connect handler has let it in. A client that does not read is disconnected at its
    limit. Sessions end with their clients. Names of rooms are text; a number or a UUID becomes its
    text.

    Args:
        logger: True logs to stderr, from INFO up. Or the logger to use.
        engineio_logger: the same for the messages of the layers below Socket.IO.
        namespaces: accepted besides those with handlers, or `"*"` for any, at most 1,000 at a time. With Redis or
            metrics, names that are no longer used count too. Default: `["/"]`.
        options: see `Options`. Those about the transport take effect in an `ASGIApp`. In a
            `RealtimeMiddleware` its `Settings` count.

    Raises:
        ConfigurationError: for an option that is not supported, with what to do instead.
    """

    # Sending

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: OneOrMany = None,
        room: OneOrMany = None,
        skip_sid: OneOrMany = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event to a client, a room, several rooms (each client once), or all clients of the namespace.

        Args:
            event: the event's name.
            data: the argument; a tuple is several, None is none.
            to: a `sid`, a room, or a list of them. An empty list has no recipient (in python-socketio: all).
            room: another name for `to`.
            skip_sid: one or several clients to leave out.
            namespace: default `/`.
            callback: called with the values of each recipient's acknowledgement, also of clients of other processes;
                may be a coroutine function.
            ignore_queue: send to the clients of this process only.

        Raises:
            TypeError: if `data` cannot be encoded.
            PayloadTooLarge: if it is over `Limits.publication_bytes`.
            RuntimeError: on another thread or event loop than the server's.
        """
        gateway = self.gateway_for(namespace or "/")
        if gateway is None:
            return  # such a namespace has no clients
        gateway.context.hub.check_thread()
        await gateway.participants.emit(
            event,
            _arguments(data),
            rooms=_listed(room, "room") if to is None or to == "" else _listed(to, "to"),
            skipped=_listed(skip_sid, "skip_sid") or [],
            callback=callback,
            here=ignore_queue,
        )

    async def send(
        self,
        data: Any,
        to: OneOrMany = None,
        room: OneOrMany = None,
        skip_sid: OneOrMany = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event `message`. See `emit`."""
        await self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = _CALL_SECONDS,
        ignore_queue: bool = False,
    ) -> Json:
        """Send an event to one client and wait for its acknowledgement: one value, a tuple of several, or None.

        Raises:
            socketio.exceptions.TimeoutError: if none came within `timeout` seconds (None: 60), or the client is
                not connected.
            ValueError: without a client.
        """
        recipient = to or sid
        if recipient is None:
            raise ValueError("Cannot use call() to broadcast.")
        gateway, client = self.gateway_for(namespace or "/"), self._find(recipient, namespace)
        if gateway is None or (client is None and (ignore_queue or not self._is_elsewhere(recipient, namespace))):
            raise TimeoutError
        gateway.context.hub.check_thread()
        answer: asyncio.Future[tuple[Json, ...]] = asyncio.get_running_loop().create_future()

        def answered(*values: Json) -> None:
            if not answer.done():
                answer.set_result(values)

        reply_to = await gateway.participants.emit(
            event,
            _arguments(data),
            rooms=[recipient],
            callback=answered,
            awaited=lambda: not answer.done(),
            here=ignore_queue,
        )
        try:
            if client is not None and client.closed:  # not sent, or too much for a client that reads slowly
                raise TimeoutError
            # None is what python-socketio's namespaces pass where a handler names no time.
            async with asyncio.timeout(_CALL_SECONDS if timeout is None else timeout):
                values = await answer
        except builtins.TimeoutError:
            raise TimeoutError from None
        finally:
            gateway.participants.forget_replies(reply_to)
        return values if len(values) > 1 else values[0] if values else None

    # Rooms

    async def enter_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """Put a client into a room, also one of another process.

        Raises:
            ValueError: if the client is not connected, or the room is another client's own: it would get
                what is sent to that client. With several processes, a client that has left is not noticed.
            BrokerUnavailable: for a client of another process, if Redis does not answer.
        """
        gateway, connection = self.gateway_for(namespace or "/"), self._find(sid, namespace)
        name = id_text(room, "room")
        if gateway is not None and connection is not None:
            await gateway.participants.enter_room(connection, name)
        elif gateway is not None and self._is_elsewhere(sid, namespace):
            await gateway.participants.enter_room_elsewhere(id_text(sid, "sid"), name)
        else:
            raise ValueError("sid is not connected to requested namespace")

    async def leave_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """Take a client out of a room, also one of another process."""
        name = id_text(room, "room")
        gateway, connection = self.gateway_for(namespace or "/"), self._find(sid, namespace)
        if gateway is not None and connection is not None:
            await gateway.participants.leave_room(connection, name)
        elif gateway is not None and self._is_elsewhere(sid, namespace):
            await gateway.participants.leave_room_elsewhere(id_text(sid, "sid"), name)

    async def close_room(self, room: Id, namespace: str | None = None) -> None:
        """Take all clients out of a room.

        Raises:
            ValueError: if the room is a client's own.
        """
        name = id_text(room, "room")
        gateway = self.gateway_for(namespace or "/")
        if gateway is not None:
            await gateway.participants.close_room(name)

    # Clients

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """The session of a client: a dictionary that lives as long as the client is connected.

        Raises:
            KeyError: if the client is not connected to this process.
        """
        return self._client_state(sid, namespace).session

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the session of a client.

        Raises:
            KeyError: if the client is not connected to this process.
        """
        self._client_state(sid, namespace).session = session

    @contextlib.asynccontextmanager
    async def session(self, sid: str, namespace: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """The session of a client, saved at the end of the block: `async with sio.session(sid) as session:`."""
        session = await self.get_session(sid, namespace)
        try:
            yield session
        finally:
            with contextlib.suppress(KeyError):
                await self.save_session(sid, session, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client from a namespace. Its disconnect handler is called; it does not reconnect by itself.

        `ignore_queue=True`: only if it is connected to this process.
        """
        gateway, connection = self.gateway_for(namespace or "/"), self._find(sid, namespace)
        if gateway is not None and connection is not None:
            await gateway.participants.disconnect(connection)
        elif gateway is not None and not ignore_queue and self._is_elsewhere(sid, namespace):
            await gateway.participants.disconnect_elsewhere(id_text(sid, "sid"))

    # Background tasks

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def shutdown(self) -> None:
        """Stop background tasks that were started before the server was mounted. The middleware stops the others."""
        await self._tasks.aclose()

    def instrument(
        self,
        auth: AdminAuth | None = None,
        mode: Literal["development", "production"] = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> AdminUI:
        """Let the Socket.IO Admin UI connect. See `AdminUI`.

        Raises:
            ValueError: without `auth`, or if `server_stats_interval` is not a finite number above 0. `auth=False`
                lets every client in: never use it in production.
        """
        from asgi_realtime.socketio.admin import AdminUI

        if not is_positive(server_stats_interval):
            raise ValueError("instrument(): server_stats_interval must be a finite number greater than 0")
        admin = AdminUI(
            self,
            auth=auth,
            mode=mode,
            read_only=read_only,
            server_id=server_id,
            namespace=namespace,
            server_stats_interval=server_stats_interval,
        )
        self._state.observers.append(admin)
        return admin


def _arguments(data: Any) -> list[Any]:
    return list(data) if isinstance(data, tuple) else [] if data is None else [data]


def _listed(names: OneOrMany, argument: str) -> list[str] | None:
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        return [id_text(names, argument)]
    return list(id_texts(names, argument))
