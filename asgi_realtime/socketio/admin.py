"""The server side of npm's `@socket.io/admin-ui`."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Literal

from asgi_realtime.connection.connection import Connection
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime import time_source
from asgi_realtime.socketio.admin_auth import AdminAuth, AdminAuthenticator
from asgi_realtime.socketio.admin_commands import COMMANDS, AdminCommands
from asgi_realtime.socketio.admin_sockets import describe_socket
from asgi_realtime.socketio.base_server import BaseServer
from asgi_realtime.socketio.exceptions import ConnectionRefusedError
from asgi_realtime.socketio.observer import Observer
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.ids import ConnectionId
from asgi_realtime.values.json import Json
from asgi_realtime.values.timestamps import iso

_MOST_SOCKETS = 500
"""Sockets listed at login, and recipients listed of one event, because an administrator's outbox is limited too."""


class AdminUI(Observer):
    """Serves the Admin UI on a namespace of the server it shows.

    While no administrator is connected, nothing is recorded and nothing runs. Headers and query
    parameters that clients may authenticate with are not shown (see `describe_socket`).

    Args:
        server: the server to show.
        auth: see `AdminAuth`. The page's form sends `username` and `password`.
        mode: `development` shows every socket and event; `production` only numbers.
        read_only: administrators cannot send, join, leave or disconnect.
        server_id: the name of this server in the page. Default: the host's name.
        namespace: where administrators connect.
        server_stats_interval: seconds between two reports of the numbers.
    """

    def __init__(
        self,
        server: BaseServer,
        *,
        auth: AdminAuth | None,
        mode: Literal["development", "production"],
        read_only: bool,
        server_id: str | None,
        namespace: str,
        server_stats_interval: float,
    ) -> None:
        self._server = server
        self._authenticator = AdminAuthenticator(auth)
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
        server.on("connect", self._on_connect, namespace)
        if not read_only:
            AdminCommands(server, namespace)

    async def shutdown(self) -> None:
        """Stop reporting; otherwise that ends with the last administrator, or with the server."""
        if self._reporter is not None:
            self._reporter.cancel()
            await asyncio.gather(self._reporter, return_exceptions=True)

    # As an observer of the server

    @property
    def active(self) -> bool:
        """Whether an administrator is connected."""
        return bool(self._clients(self._namespace))

    def connected(self, connection: Connection) -> None:
        """A client was let in."""
        self._count("rawConnection")
        if self._development:
            self._notify("socket_connected", describe_socket(connection), _now())
            self._watch(connection)

    def disconnected(self, connection: Connection, reason: str) -> None:
        """A client has disconnected."""
        self._polling.pop(connection.id, None)
        self._count("rawDisconnection")
        if self._development:
            self._notify("socket_disconnected", connection.gateway, connection.id, reason, _now())

    def received(self, connection: Connection, event: str, args: Sequence[Json]) -> None:
        """A client sent an event."""
        if connection.gateway != self._namespace:
            self._count("packetsIn")
            self._count("bytesIn", _size(event, args))
            if self._development:
                self._notify("event_received", connection.gateway, connection.id, [event, *args], _now())

    def sent(self, recipients: Collection[Connection], event: str, args: Sequence[Any]) -> None:
        """An event is sent to clients."""
        others = [connection for connection in recipients if connection.gateway != self._namespace]
        if not others:
            return
        self._count("packetsOut", len(others))
        self._count("bytesOut", len(others) * _size(event, args))
        for connection in others[:_MOST_SOCKETS] if self._development else ():
            self._notify("event_sent", connection.gateway, connection.id, [event, *args], _now())

    def joined(self, connection: Connection, room: str) -> None:
        """A client entered a room."""
        if self._development:
            self._notify("room_joined", connection.gateway, room, connection.id, _now())

    def left(self, connection: Connection, room: str) -> None:
        """A client left a room."""
        if self._development:
            self._notify("room_left", connection.gateway, room, connection.id, _now())

    # What is sent to administrators

    async def _on_connect(self, sid: str, environ: dict[str, Any], auth: Json) -> None:
        if not await self._authenticator.authenticate(auth):
            raise ConnectionRefusedError("invalid credentials")  # the page tests for this text
        features = ["AGGREGATED_EVENTS"]
        if self._development:
            features.append("ALL_EVENTS")
        if not self._read_only:
            features += COMMANDS
        await self._send(sid, "session", self._authenticator.create_session())
        await self._send(sid, "config", {"supportedFeatures": features})
        await self._send(sid, "server_stats", self._statistics())
        if self._development:
            clients = [each for name in self._server.gateways for each in self._clients(name) if each.state.let_in]
            del clients[_MOST_SOCKETS:]
            for connection in clients:
                self._watch(connection)
            await self._send(sid, "all_sockets", [describe_socket(connection) for connection in clients])
        if self._reporter is None or self._reporter.done():
            self._reporter = self._server.start_background_task(self._report)

    async def _report(self) -> None:
        while self.active:
            await asyncio.sleep(self._interval)
            self._notify("server_stats", self._statistics())
            self._counts.clear()
            for connection in [each for each in self._polling.values() if transport_of(each).kind == "websocket"]:
                del self._polling[connection.id]
                self._notify(
                    "socket_updated", {"id": connection.id, "nsp": connection.gateway, "transport": "websocket"}
                )
        self._counts.clear()
        self._polling.clear()

    def _statistics(self) -> Json:
        namespaces = {name: self._clients(name) for name in self._server.gateways}
        transports = {
            transport_of(connection).session_id: transport_of(connection).kind
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
        return () if gateway is None else gateway.participants.everybody()

    def _watch(self, connection: Connection) -> None:
        if transport_of(connection).kind == "polling":
            self._polling[connection.id] = connection

    def _count(self, kind: str, count: int = 1) -> None:
        self._counts[int(time_source.wall()), kind] += count

    def _notify(self, event: str, *args: Json) -> None:
        gateway = self._server.gateway_for(self._namespace)
        administrators = () if gateway is None else gateway.participants.everybody()
        if gateway is not None and administrators:
            frame = self._dialect.event_args(event, args)
            for administrator in administrators:
                gateway.push_frame(administrator, frame)

    async def _send(self, sid: str, event: str, data: Json) -> None:
        gateway = self._server.gateway_for(self._namespace)
        assert gateway is not None
        await gateway.participants.emit(event, [data], rooms=[sid])


def _size(event: str, args: Sequence[Any]) -> int:
    payload, attachments = encode([event, *args])
    return len(payload) + sum(map(len, attachments))


def _now() -> str:
    return iso(time_source.wall())
