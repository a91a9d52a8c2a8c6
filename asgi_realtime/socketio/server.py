"""python-socketio's `AsyncServer` on sessions, rooms and limits of our own."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Unpack, overload

from asgi_realtime.connection.connection import Connection
from asgi_realtime.gateways.context import GatewayContext
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.socketio.exceptions import TimeoutError
from asgi_realtime.socketio.handlers import Handlers, NamespaceObject
from asgi_realtime.socketio.manager import Manager
from asgi_realtime.socketio.observer import Observer
from asgi_realtime.socketio.options import Options, check_options, settings_with
from asgi_realtime.socketio.reasons import Reason
from asgi_realtime.socketio.server_gateway import ClientState, ServerGateway
from asgi_realtime.transports.socketio.peer import NamespaceTransport
from asgi_realtime.values.ids import GatewayName, Id, RoomName, id_text, id_texts
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from asgi_realtime.socketio.admin import AdminUI
    from asgi_realtime.socketio.admin_auth import AdminAuth

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
To: TypeAlias = Id | Iterable[Id] | None

MOST_NAMESPACES = 1_000
"""Namespaces a server with `namespaces="*"` opens, since their names are the clients' to choose."""


class SocketIOServer:
    """The API of python-socketio's `AsyncServer`. Mount it as a gateway, or serve it with `ASGIApp`.

        sio = SocketIOServer()
        app = RealtimeMiddleware(app, gateways=[sio])

    What is better here than there: events of one client are handled in the order sent, one at a
    time; a client cannot forge `connect` or `disconnect`; nobody hears a broadcast before the
    connect handler has let them in; a client that does not read is cut at its limit; sessions end
    with their clients. Rooms are the hub's, so names are text; a number or a UUID becomes its text.

    Args:
        logger: True logs to stderr from INFO up; or the logger to use.
        engineio_logger: the same, for what happens below Socket.IO.
        namespaces: accepted besides those with handlers, or `"*"` for any. Default: `["/"]`.
        options: see `Options`. Those about the transport are for `ASGIApp`; in a `RealtimeMiddleware`
            its `Settings` decide.

    Raises:
        ConfigurationError: for an option that cannot be honoured, saying what to do instead.
    """

    reason = Reason
    async_mode = "asgi"

    def __init__(
        self,
        *,
        logger: bool | logging.Logger = False,
        engineio_logger: bool | logging.Logger = False,
        namespaces: Sequence[str] | Literal["*"] | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_options(options)
        self.options = options
        self.handlers = Handlers()
        self.observers: list[Observer] = []
        self.logger = _logger("asgi_realtime.socketio", logger)
        _logger("asgi_realtime", engineio_logger)
        self._namespaces = namespaces
        self.gateways: dict[str, ServerGateway] = {}
        """The namespaces that are open."""
        self._tasks = Tasks()
        self._context: GatewayContext | None = None
        self.manager = Manager(self)
        """Who is connected, and in which rooms."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop the clients are served on; None before the first has come."""

    def is_asyncio_based(self) -> bool:
        """Whether the methods are coroutines: they are."""
        return True

    # What the composition root calls

    @property
    def names(self) -> Sequence[GatewayName]:
        """The namespaces known so far. Handlers registered later, and `namespaces="*"`, add to them."""
        listed = () if self._namespaces in (None, "*") else self._namespaces
        return [GatewayName(name) for name in dict.fromkeys((*listed, *sorted(self.handlers.namespaces)))]

    @property
    def mounted(self) -> GatewayContext | None:
        """What the server works with; None: it is not mounted yet."""
        return self._context

    def bind(self, context: GatewayContext) -> None:
        """Mount the server."""
        if settings_with(context.settings, self.options, None) != context.settings:
            self.logger.warning(
                "the Settings of RealtimeMiddleware are in force, not SocketIOServer's transport options"
            )
        self._context = context
        self.gateways.clear()
        for name in self.names:
            self.gateway_for(name)

    def gateway_for(self, namespace: str) -> ServerGateway | None:
        """The gateway of a namespace that has handlers or is accepted anyway; made at the first use."""
        gateway = self.gateways.get(namespace)
        if gateway is None and self._context is not None and self._accepts(namespace, self._context):
            gateway = self.gateways[namespace] = ServerGateway(self, namespace)
            gateway.bind(self._context, SocketIODialect(namespace))
        return gateway

    def _accepts(self, namespace: str, context: GatewayContext) -> bool:
        if namespace in context.registry:
            return False  # somebody else's
        if namespace in self.names:
            return True
        if self._namespaces == "*":
            return len(self.gateways) < MOST_NAMESPACES
        return self._namespaces is None and namespace == "/"

    # Handlers

    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Callable[..., Any], namespace: str | None = None) -> None: ...
    def on(self, event: str, handler: Callable[..., Any] | None = None, namespace: str | None = None) -> Any:
        """Register a handler, as a decorator or by a call.

        A handler gets the client's `sid` and the event's arguments; `connect` gets `sid`, `environ`
        and `auth`; `disconnect` gets `sid` and `reason`. `"*"` as event or namespace catches all
        that have no handler of their own, and puts the name in front. What a handler returns is the
        acknowledgement (a tuple: several values). Coroutines are awaited; plain functions run on
        the event loop, so they must not block.
        """

        def register(function: F) -> F:
            self.handlers.add(namespace or "/", event, function)
            return function

        if handler is None:
            return register
        register(handler)
        return None

    @overload
    def event(self, handler: F, /) -> F: ...
    @overload
    def event(self, /, *, namespace: str | None = None) -> Callable[[F], F]: ...
    def event(self, handler: Any = None, /, namespace: str | None = None) -> Any:
        """Register a function for the event of its own name: `@sio.event`, or `@sio.event(namespace="/x")`."""

        def register(function: F) -> F:
            return self.on(function.__name__, namespace=namespace)(function)

        return register if handler is None else register(handler)

    def register_namespace(self, namespace_handler: NamespaceObject) -> None:
        """Register an instance of a subclass of `AsyncNamespace` or `Namespace`.

        Raises:
            ValueError: for anything else.
        """
        if isinstance(namespace_handler, type) or not hasattr(namespace_handler, "trigger_event"):
            raise ValueError("Not a namespace instance")
        if not namespace_handler.is_asyncio_based():
            raise ValueError("python-socketio's Namespace cannot wait here: subclass asgi_realtime.socketio.Namespace")
        namespace_handler._set_server(self)
        self.handlers.add_object(namespace_handler)

    # Sending

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: To = None,
        room: To = None,
        skip_sid: To = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event to a client, a room, several rooms (each client once), or everybody in the namespace.

        Args:
            event: the event's name.
            data: the argument; a tuple is several, None is none.
            to: a `sid`, a room, or a list of them; an empty one is nobody (there: everybody).
            room: another name for `to`.
            skip_sid: one or several clients to leave out.
            namespace: default `/`.
            callback: called with the values of each recipient's acknowledgement; may be a coroutine function.
            ignore_queue: changes nothing.

        Raises:
            TypeError: if `data` cannot be encoded.
            PayloadTooLarge: if it is over `Limits.publication_bytes`.
            RuntimeError: on another thread or event loop than the server's.
        """
        gateway = self.gateway_for(namespace or "/")
        if gateway is None:
            return  # nobody is there
        gateway.context.hub.check_thread()
        args: list[Any] = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        rooms = _listed(room, "room") if to is None or to == "" else _listed(to, "to")
        skipped = _listed(skip_sid, "skip_sid") or []
        self.logger.info('emitting event "%s" to %s [%s]', event, "all" if rooms is None else rooms, gateway.name)
        watchers = self.watchers
        if watchers:
            recipients = gateway.recipients(rooms, skipped)
            for watcher in watchers:
                watcher.sent(recipients, event, args)
        if callback is None:
            await gateway.emit(rooms, skipped, event, args)
        else:
            for connection in gateway.recipients(rooms, skipped):
                gateway.request(connection, event, args, callback)

    async def send(
        self,
        data: Any,
        to: To = None,
        room: To = None,
        skip_sid: To = None,
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
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Json:
        """Send an event to one client and wait for its acknowledgement: one value, a tuple of several, or None.

        Raises:
            socketio.exceptions.TimeoutError: if none came within `timeout` seconds, or the client is
                not connected.
            ValueError: without a client.
        """
        recipient = to or sid
        if recipient is None:
            raise ValueError("Cannot use call() to broadcast.")
        if self._find(recipient, namespace) is None:
            raise TimeoutError
        answer: asyncio.Future[tuple[Json, ...]] = asyncio.get_running_loop().create_future()

        def answered(*values: Json) -> None:
            if not answer.done():
                answer.set_result(values)

        await self.emit(event, data, to=recipient, namespace=namespace, callback=answered)
        try:
            async with asyncio.timeout(timeout):
                values = await answer
        except builtins.TimeoutError:
            raise TimeoutError from None
        return values if len(values) > 1 else values[0] if values else None

    # Rooms

    async def enter_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """Put a client into a room.

        Raises:
            ValueError: if the client is not connected, or the room is another client's own: it would hear
                what is sent to that client.
        """
        connection = self._find(sid, namespace)
        name = id_text(room, "room")
        if connection is None:
            raise ValueError("sid is not connected to requested namespace")
        if name != sid and self.manager.is_sid_room(namespace or "/", name):
            raise ValueError("cannot enter a sid room")
        self.logger.info("%s is entering room %s [%s]", sid, name, connection.gateway)
        known = name in connection.rooms
        await connection.join(name)
        for watcher in () if known else self.watchers:
            watcher.joined(connection, name)

    async def leave_room(self, sid: str, room: Id, namespace: str | None = None) -> None:
        """Take a client out of a room."""
        name = id_text(room, "room")
        connection = self._find(sid, namespace)
        if connection is not None and name in connection.rooms:
            self.logger.info("%s is leaving room %s [%s]", sid, name, connection.gateway)
            await connection.leave(name)
            for watcher in self.watchers:
                watcher.left(connection, name)

    async def close_room(self, room: Id, namespace: str | None = None) -> None:
        """Take everybody out of a room.

        Raises:
            ValueError: if the room is a client's own.
        """
        name = id_text(room, "room")
        if self.manager.is_sid_room(namespace or "/", name):
            raise ValueError("cannot close a sid room")
        gateway = self.gateways.get(namespace or "/")
        if gateway is not None:
            self.logger.info("room %s is closing [%s]", name, gateway.name)
            members = gateway.context.hub.rooms(gateway.name).of_room(RoomName(name))
            await gateway.broadcaster.close_room(name)
            for watcher in self.watchers:
                for connection in members:
                    watcher.left(connection, name)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """The rooms a client is in, its own (named as its `sid`) included."""
        connection = self._find(sid, namespace)
        return [] if connection is None else [*connection.rooms]

    # Clients

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """The session of a client: a dictionary that lives as long as the client is connected.

        Raises:
            KeyError: if the client is not connected.
        """
        return self._state(sid, namespace).session

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the session of a client.

        Raises:
            KeyError: if the client is not connected.
        """
        self._state(sid, namespace).session = session

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
        """Put a client out of a namespace. It is not to come back by itself; its disconnect handler is called."""
        connection = self._find(sid, namespace)
        if connection is not None:
            self.logger.info("Disconnecting %s [%s]", sid, connection.gateway)
            await connection.close(1000, "server disconnect")

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """What carries a client now: `polling` or `websocket`.

        Raises:
            KeyError: if the client is not connected.
        """
        member = self._connected(sid, namespace).transport
        assert isinstance(member, NamespaceTransport)
        return member.kind

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The WSGI-like description of the client's handshake, or None if it is not connected."""
        connection = self._find(sid, namespace)
        return None if connection is None else connection.state.environ

    def _find(self, sid: str, namespace: str | None) -> Connection | None:
        gateway = self.gateways.get(namespace or "/")
        return None if gateway is None else gateway.connection(id_text(sid, "sid"))

    def _connected(self, sid: str, namespace: str | None) -> Connection:
        connection = self._find(sid, namespace)
        if connection is None:
            raise KeyError("Session not found")
        return connection

    def _state(self, sid: str, namespace: str | None) -> ClientState:
        state: ClientState = self._connected(sid, namespace).state
        return state

    # Work of the host's

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[T]:
        """Run a coroutine function in the background until the server stops. A failure is logged."""
        tasks = self._tasks if self._context is None else self._context.tasks
        return tasks.spawn(target(*args, **kwargs), name=f"background task {getattr(target, '__name__', '')}")

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def shutdown(self) -> None:
        """Stop what was started before the server was mounted. The rest ends with the middleware."""
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
            ValueError: without `auth`. False lets everybody in: never in production.
        """
        from asgi_realtime.socketio.admin import AdminUI

        admin = AdminUI(
            self,
            auth=auth,
            mode=mode,
            read_only=read_only,
            server_id=server_id,
            namespace=namespace,
            server_stats_interval=server_stats_interval,
        )
        self.observers.append(admin)
        return admin

    @property
    def watchers(self) -> list[Observer]:
        """The observers that have somebody to tell."""
        return [observer for observer in self.observers if observer.watching]


def _listed(names: To, argument: str) -> list[str] | None:
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        return [id_text(names, argument)]
    return list(id_texts(names, argument))


def _logger(name: str, option: bool | logging.Logger) -> logging.Logger:
    if isinstance(option, logging.Logger):
        return option
    logger = logging.getLogger(name)
    if option and logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.StreamHandler())
    return logger
