"""What npm's `@socket.io/admin-ui` shows of a `SocketIOServer`, and does to it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import InvalidMessage, PayloadTooLarge
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.socketio.admin_auth import AdminAuth, AdminDoor
from asgi_realtime.socketio.exceptions import ConnectionRefusedError
from asgi_realtime.socketio.observer import Observer
from asgi_realtime.transports.socketio.peer import NamespaceTransport
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.timestamps import iso

if TYPE_CHECKING:
    from asgi_realtime.socketio.server import SocketIOServer

_SECRET_HEADER = re.compile("auth|cookie|key|password|secret|session|token")
_PUBLIC_QUERY = frozenset({"EIO", "transport", "t"})

_MOST_SOCKETS = 500
"""Sockets listed at login, and recipients listed of one event: an administrator's outbox has its limit too."""

_COMMANDS = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]


class AdminUI(Observer):
    """Serves the Admin UI on a namespace of the server it shows.

    While no administrator is connected nothing is recorded and nothing runs. What clients may have
    sent to prove who they are (headers by the sound of their names, the query) is not shown.

    Args:
        server: the server to show.
        auth: see `AdminAuth`. The page's form sends `username` and `password`.
        mode: `development` shows every socket and event; `production` numbers only.
        read_only: no sending, joining, leaving, disconnecting.
        server_id: the name of this server in the page. Default: the host's name.
        namespace: where administrators connect.
        server_stats_interval: seconds between two reports of the numbers.
    """

    def __init__(
        self,
        server: SocketIOServer,
        *,
        auth: AdminAuth | None,
        mode: Literal["development", "production"],
        read_only: bool,
        server_id: str | None,
        namespace: str,
        server_stats_interval: float,
    ) -> None:
        self._server = server
        self._door = AdminDoor(auth)
        self._development = mode == "development"
        self._read_only = read_only
        self._server_id = server_id or socket.gethostname()
        self._namespace = namespace
        self._dialect = SocketIODialect(namespace)
        self._interval = server_stats_interval
        self._started = time.monotonic()
        self._counts: Counter[tuple[int, str]] = Counter()
        self._polling: dict[ConnectionId, Connection] = {}
        self._reporter: asyncio.Task[None] | None = None
        server.on("connect", self._admit, namespace)
        if not read_only:
            server.on("emit", self._emit, namespace)
            server.on("join", self._join, namespace)
            server.on("leave", self._leave, namespace)
            server.on("_disconnect", self._disconnect, namespace)

    async def shutdown(self) -> None:
        """Stop reporting; otherwise that ends with the last administrator, or with the server."""
        if self._reporter is not None:
            self._reporter.cancel()
            await asyncio.gather(self._reporter, return_exceptions=True)

    # What the server tells us, while anybody is watching

    @property
    def watching(self) -> bool:
        """Whether an administrator is connected."""
        return bool(self._clients(self._namespace))

    def connected(self, connection: Connection) -> None:
        """A client was let in."""
        self._count("rawConnection")
        if self._development:
            self._tell("socket_connected", _describe(connection), _now())
            self._watch(connection)

    def disconnected(self, connection: Connection, reason: str) -> None:
        """A client is gone."""
        self._polling.pop(connection.id, None)
        self._count("rawDisconnection")
        if self._development:
            self._tell("socket_disconnected", connection.gateway, connection.id, reason, _now())

    def received(self, connection: Connection, event: str, args: Sequence[Json]) -> None:
        """A client sent an event."""
        if connection.gateway != self._namespace:
            self._count("packetsIn")
            self._count("bytesIn", _size(event, args))
            if self._development:
                self._tell("event_received", connection.gateway, connection.id, [event, *args], _now())

    def sent(self, recipients: Collection[Connection], event: str, args: Sequence[Any]) -> None:
        """An event goes to clients."""
        others = [connection for connection in recipients if connection.gateway != self._namespace]
        if not others:
            return
        self._count("packetsOut", len(others))
        self._count("bytesOut", len(others) * _size(event, args))
        for connection in others[:_MOST_SOCKETS] if self._development else ():
            self._tell("event_sent", connection.gateway, connection.id, [event, *args], _now())

    def joined(self, connection: Connection, room: str) -> None:
        """A client entered a room."""
        if self._development:
            self._tell("room_joined", connection.gateway, room, connection.id, _now())

    def left(self, connection: Connection, room: str) -> None:
        """A client left a room."""
        if self._development:
            self._tell("room_left", connection.gateway, room, connection.id, _now())

    # What administrators see

    async def _admit(self, sid: str, environ: dict[str, Any], auth: Json) -> None:
        if not await self._door.admits(auth):
            raise ConnectionRefusedError("invalid credentials")  # words the page knows
        features = ["AGGREGATED_EVENTS"]
        if self._development:
            features.append("ALL_EVENTS")
        if not self._read_only:
            features += _COMMANDS
        await self._send(sid, "session", self._door.new_session())
        await self._send(sid, "config", {"supportedFeatures": features})
        await self._send(sid, "server_stats", self._statistics())
        if self._development:
            clients = [each for name in self._server.gateways for each in self._clients(name)][:_MOST_SOCKETS]
            for connection in clients:
                self._watch(connection)
            await self._send(sid, "all_sockets", [_describe(connection) for connection in clients])
        if self._reporter is None or self._reporter.done():
            self._reporter = self._server.start_background_task(self._report)

    async def _report(self) -> None:
        while self.watching:
            await asyncio.sleep(self._interval)
            self._tell("server_stats", self._statistics())
            self._counts.clear()
            for connection in [each for each in self._polling.values() if _transport(each).kind == "websocket"]:
                del self._polling[connection.id]
                self._tell("socket_updated", {"id": connection.id, "nsp": connection.gateway, "transport": "websocket"})
        self._counts.clear()
        self._polling.clear()

    def _statistics(self) -> Json:
        namespaces = {name: self._clients(name) for name in self._server.gateways}
        transports = {
            _transport(connection).session_id: _transport(connection).kind
            for clients in namespaces.values()
            for connection in clients
        }
        return {
            "serverId": self._server_id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._started,
            "clientsCount": len(transports),
            "pollingClientsCount": list(transports.values()).count("polling"),
            "aggregatedEvents": [
                {"timestamp": second * 1000, "type": kind, "count": count}
                for (second, kind), count in self._counts.items()
            ],
            "namespaces": [{"name": name, "socketsCount": len(clients)} for name, clients in namespaces.items()],
        }

    def _clients(self, namespace: str) -> Sequence[Connection]:
        gateway = self._server.gateway_for(namespace)
        return () if gateway is None else gateway.context.hub.rooms(GatewayName(namespace)).everybody

    def _watch(self, connection: Connection) -> None:
        if _transport(connection).kind == "polling":
            self._polling[connection.id] = connection

    def _count(self, kind: str, count: int = 1) -> None:
        self._counts[int(time.time()), kind] += count

    def _tell(self, event: str, *args: Json) -> None:
        administrators = self._clients(self._namespace)
        if administrators:
            frame = self._dialect.event_args(event, args)
            for administrator in administrators:
                administrator.push(frame)

    async def _send(self, sid: str, event: str, data: Json) -> None:
        await self._server.emit(event, data, to=sid, namespace=self._namespace)

    # What administrators do

    async def _emit(self, sid: str, namespace: Json, room: Json, event: Json, *args: Json) -> None:
        to = None if room is None else _text(room, "room")
        name = _text(event, "event")
        try:
            await self._server.emit(name, args, to=to, namespace=_text(namespace, "namespace"))
        except (ValueError, PayloadTooLarge) as error:  # a name that may not be sent, or too much of it
            raise InvalidMessage(str(error)) from None

    async def _join(self, sid: str, namespace: Json, room: Json, among: Json = None) -> None:
        for connection in self._among(namespace, among):
            await self._server.enter_room(connection.id, _text(room, "room"), connection.gateway)

    async def _leave(self, sid: str, namespace: Json, room: Json, among: Json = None) -> None:
        for connection in self._among(namespace, among):
            await self._server.leave_room(connection.id, _text(room, "room"), connection.gateway)

    async def _disconnect(self, sid: str, namespace: Json, close: Json, among: Json = None) -> None:
        if not isinstance(close, bool):
            raise InvalidMessage("close must be true or false")
        for connection in self._among(namespace, among):
            if close:
                member = connection.transport
                assert isinstance(member, NamespaceTransport)
                member.close_transport(1008, "disconnected by an administrator")
            else:
                await self._server.disconnect(connection.id, connection.gateway)

    def _among(self, namespace: Json, room: Json) -> Iterator[Connection]:
        gateway = self._server.gateway_for(_text(namespace, "namespace"))
        if gateway is not None:
            rooms = gateway.context.hub.rooms(gateway.name)
            yield from rooms.everybody if room is None else rooms.of_room(RoomName(_text(room, "room")))


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidMessage(f"{name} must be text")
    return value


def _describe(connection: Connection) -> Json:
    scope = connection.state.environ["asgi.scope"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    handshake = connection.handshake
    issued = connection.state.connected_at
    return {
        "id": connection.id,
        # Not the whole: it is what the client proves itself with.
        "clientId": _transport(connection).session_id[:12],
        "transport": _transport(connection).kind,
        "nsp": connection.gateway,
        "data": {},
        "handshake": {
            "address": handshake.client_address or "",
            "headers": {name: "(hidden)" if _SECRET_HEADER.search(name) else value for name, value in headers.items()},
            "query": {name: value if name in _PUBLIC_QUERY else "(hidden)" for name, value in handshake.query.items()},
            "secure": connection.state.environ["wsgi.url_scheme"] == "https",
            "url": handshake.path,
            "issued": round(issued * 1000),
            "time": iso(issued),
        },
        "rooms": sorted(connection.rooms),
    }


def _transport(connection: Connection) -> NamespaceTransport:
    assert isinstance(connection.transport, NamespaceTransport)
    return connection.transport


def _size(event: str, args: Sequence[Any]) -> int:
    payload, attachments = encode([event, *args])
    return len(payload) + sum(map(len, attachments))


def _now() -> str:
    return iso(time.time())
