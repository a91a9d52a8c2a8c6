"""The application under test, running: its lifespan, its HTTP routes, and clients of its gateways."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime.auth.create_token import create_token
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.realtime import Realtime
from asgi_realtime.testing.app import find_middleware, memory_broker, refuse_redis
from asgi_realtime.testing.clock import Clock
from asgi_realtime.testing.deadline import after, real_timeout
from asgi_realtime.testing.frames import JSONSocket
from asgi_realtime.testing.lifespan import LifespanRunner
from asgi_realtime.testing.polling import PollingWire
from asgi_realtime.testing.recorder import BroadcastRecorder, RecordingReceiver
from asgi_realtime.testing.socket import Socket
from asgi_realtime.testing.socketio import SocketIOSocket
from asgi_realtime.testing.websocket import WebSocketWire
from asgi_realtime.testing.wire import Transport
from asgi_realtime.values.ids import GatewayName, Id, UserId, id_text

if TYPE_CHECKING:
    import httpx

_HOST = "testserver"
_SOCKET_NUMBER = "x-realtime-test-socket"
"""The query parameter with the number by which the connection of a socket is found."""
_QUIET_TURNS = 10
"""Turns of the event loop without new work, after which an application counts as settled."""


class RealtimeTestClient:
    """Runs an application for a test: `async with RealtimeTestClient(app) as client`.

    Args:
        app: the application, with its `RealtimeMiddleware`.
        timeout: seconds that any step may take before the test fails.
        clock: stands still while the app runs, after its start. None: time passes.
        without_redis: whether an app that uses Redis is refused, before it starts.
    """

    def __init__(
        self, app: ASGIApp, *, timeout: float = 5.0, clock: Clock | None = None, without_redis: bool = False
    ) -> None:
        self._host = app
        self._timeout = timeout
        self._clock = clock
        self._without_redis = without_redis
        self._lifespan = LifespanRunner(app)
        self._realtime: Realtime | None = None
        self._http: httpx.AsyncClient | None = None
        self._undo = AsyncExitStack()
        self._sockets: set[Socket] = set()
        self._socket_numbers = itertools.count(1)

    async def __aenter__(self) -> RealtimeTestClient:
        """Start the application. Raises what it raises.

        Raises:
            ConfigurationError: it uses Redis, and must not.
        """
        if self._without_redis:
            refuse_redis(self._host)
        async with AsyncExitStack() as undo:
            if self._clock is not None:
                self._clock.watch()
                undo.callback(self._clock.release)
            await self._lifespan.start()
            undo.push_async_callback(self._lifespan.stop)
            # After the start, because frameworks build their middleware stack then.
            realtime = find_middleware(self._host).realtime
            if self._without_redis:
                memory_broker(realtime)
            if self._clock is not None:
                self._clock.freeze()
                undo.callback(self._clock.thaw)  # the app may wait for its clients when it stops
            self._undo = undo.pop_all()
            self._realtime = realtime
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the application. Clients that are still connected are closed, as by a server that restarts."""
        try:
            if self._http is not None:
                await self._http.aclose()
        finally:
            await self._undo.aclose()

    @property
    def http(self) -> httpx.AsyncClient:
        """A client for the application's HTTP routes; needs `httpx`.

        A request has returned when its background tasks are done too.
        """
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url=f"http://{_HOST}")
        return self._http

    @property
    def broadcaster(self) -> Broadcaster:
        """The application's broadcaster."""
        return self._running.broadcaster

    def token(self, user_id: Id, *, expires_in: float | None = 3600, **claims: Any) -> str:
        """A token that the application accepts, signed with its own `MEW_JWT_SECRET`.

        Raises:
            ConfigurationError: it has no secret. Use a token of your identity provider.
        """
        return create_token(user_id, self._running.settings, expires_in=expires_in, **claims)

    def record(self) -> BroadcastRecorder:
        """Record every broadcast from now on, also those that no client receives.

        Raises:
            ConfigurationError: the application uses Redis.
            BrokerUnavailable: within `broker_down`.
        """
        recorder = BroadcastRecorder(timeout=self._timeout, settle=self.settle)
        memory_broker(self._running).wrap_receiver(lambda receiver: RecordingReceiver(receiver, recorder))
        return recorder

    @contextmanager
    def broker_down(self) -> Iterator[None]:
        """Within this block, the broker behaves as a Redis that cannot be reached. After it, as one that is back.

        Broadcasts, commands and questions raise `BrokerUnavailable` at once, and `broadcaster.ready` is False. With
        `MEW_ON_BROKER_DOWN=local`, broadcasts are delivered, and enter history after the block.

        Raises:
            ConfigurationError: the application uses Redis.
            BrokerUnavailable: within another such block.
        """
        broker = memory_broker(self._running)
        broker.interrupt(local=self._running.settings.on_broker_down == "local")
        try:
            yield
        finally:
            broker.resume()

    def connections(self, user_id: Id, *, gateway: str = "/") -> list[Connection]:
        """A user's connections, as the application sees them. `await connection.send(...)` reaches one alone.

        Raises:
            ConfigurationError: no such gateway is mounted.
        """
        if gateway not in self._running.registry:
            raise ConfigurationError(f"no gateway {gateway!r} is mounted")
        found = self._running.hub.rooms(GatewayName(gateway)).of_user(UserId(id_text(user_id, "user_id")))
        return [connection.public for connection in found]

    @asynccontextmanager
    async def connect(
        self,
        gateway: str = "/",
        *,
        token: str | None = None,
        auth: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        transport: Transport = "websocket",
    ) -> AsyncIterator[Socket]:
        """Connect a client to a gateway: a Socket.IO namespace, or the path of a JSON WebSocket.

        `token` goes where the gateway's own clients put it: into `auth`, or into the query of a JSON
        WebSocket. `transport` may be `polling` for Socket.IO. A test's client has no `Origin` unless
        `headers` names one. The client leaves at the end of the block.

        Raises:
            ConnectionRefused: with the answer that the client got.
        """
        is_json = gateway in self._running.websockets
        number = str(next(self._socket_numbers))
        parameters = dict(query or {})
        if token is not None and is_json:
            parameters["token"] = token
        elif token is not None:
            auth = {"token": token, **(auth or {})}
        parameters[_SOCKET_NUMBER] = number
        scope = self._scope(gateway if is_json else None, transport, parameters, dict(headers or {}), cookies)
        kind = JSONSocket if is_json else SocketIOSocket
        socket = kind(gateway, timeout=self._timeout, settle=self.settle, find=lambda: self._find(gateway, number))
        socket.wire = (PollingWire if transport == "polling" else WebSocketWire)(self._app, scope, socket)
        self._sockets.add(socket)
        try:
            await socket.open(auth)
            yield socket
        finally:
            try:
                await socket.close()
            finally:
                self._sockets.discard(socket)

    async def settle(self, *, timeout: float | None = None) -> None:
        """Return when the application has handled everything that was sent, and its answers have arrived.

        Tasks that host code started, and timers (the grace period of presence), are not awaited.

        Raises:
            AssertionError: a handler is still at work after `timeout` seconds.
        """
        timeout = self._timeout if timeout is None else timeout
        try:
            async with real_timeout(timeout):
                quiet = 0
                while quiet < _QUIET_TURNS:
                    if len(self._running.tasks) or not all(socket.wire.idle for socket in self._sockets):
                        quiet = 0
                        await self._running.tasks.until_idle()
                        await asyncio.gather(*[socket.wire.until_idle() for socket in self._sockets])
                    quiet += 1
                    await asyncio.sleep(0)
        except TimeoutError:
            raise AssertionError(f"the application is still at work {after(timeout)}") from None

    @property
    def _running(self) -> Realtime:
        if self._realtime is None:
            raise RuntimeError("the application does not run: async with RealtimeTestClient(app) as client")
        return self._realtime

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, with the state that its lifespan shares."""
        await self._host({**scope, "state": self._lifespan.state.copy()}, receive, send)

    def _find(self, gateway: str, number: str) -> Connection | None:
        """The connection of a socket, by the number in its query."""
        for connection in self._running.hub.rooms(GatewayName(gateway)).everybody:
            if connection.handshake.query.get(_SOCKET_NUMBER) == number:
                return connection.public
        return None

    def _scope(
        self,
        path: str | None,
        transport: Transport,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        cookies: Mapping[str, str] | None,
    ) -> Scope:
        if path is None:
            path = self._running.settings.socketio_path.rstrip("/") + "/"
            query = {"EIO": "4", "transport": transport, **query}
        elif transport != "websocket":
            raise ValueError("a JSON gateway is a WebSocket: transport='polling' is for Socket.IO")
        sent = {"host": _HOST, **{name.lower(): value for name, value in headers.items()}}
        if cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        is_websocket = transport == "websocket"
        return {
            "type": "websocket" if is_websocket else "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws" if is_websocket else "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(query).encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("testclient", 50_000),
            "server": (_HOST, 80),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}} if is_websocket else {},
        }
