"""The commands of npm's `@socket.io/admin-ui`: send an event, join, leave, disconnect."""

from __future__ import annotations

from collections.abc import Sequence

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import InvalidMessage, PayloadTooLarge
from asgi_realtime.socketio.base_server import BaseServer
from asgi_realtime.socketio.participants import Participants
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.json import Json

COMMANDS = ("EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
"""The names of the commands in the page's list of supported features. `M`: for many sockets at once."""


class AdminCommands:
    """Handles the commands of administrators. Values of a wrong type raise `InvalidMessage`."""

    def __init__(self, server: BaseServer, namespace: str) -> None:
        """Register the handlers in the administrators' namespace of a server."""
        self._server = server
        server.on("emit", self._emit, namespace)
        server.on("join", self._join, namespace)
        server.on("leave", self._leave, namespace)
        server.on("_disconnect", self._disconnect, namespace)

    async def _emit(self, sid: str, namespace: Json, room: Json, event: Json, *args: Json) -> None:
        rooms = None if room is None or room == "" else [_text(room, "room")]
        name = _text(event, "event")
        participants = self._participants(namespace)
        if participants is not None:
            try:
                await participants.emit(name, args, rooms=rooms)
            except (ValueError, PayloadTooLarge) as error:  # a name that may not be sent, or too much data
                raise InvalidMessage(str(error)) from None

    async def _join(self, sid: str, namespace: Json, room: Json, among: Json = None) -> None:
        participants = self._participants(namespace)
        if participants is not None:
            for connection in _selected(participants, among):
                await participants.enter_room(connection, _text(room, "room"))

    async def _leave(self, sid: str, namespace: Json, room: Json, among: Json = None) -> None:
        participants = self._participants(namespace)
        if participants is not None:
            for connection in _selected(participants, among):
                await participants.leave_room(connection, _text(room, "room"))

    async def _disconnect(self, sid: str, namespace: Json, close: Json, among: Json = None) -> None:
        if not isinstance(close, bool):
            raise InvalidMessage("close must be true or false")
        participants = self._participants(namespace)
        if participants is not None:
            for connection in _selected(participants, among):
                if close:
                    transport_of(connection).close_transport(1008, "disconnected by an administrator")
                else:
                    await participants.disconnect(connection)

    def _participants(self, namespace: Json) -> Participants | None:
        gateway = self._server.gateway_for(_text(namespace, "namespace"))
        return None if gateway is None else gateway.participants


def _selected(participants: Participants, room: Json) -> Sequence[Connection]:
    """The clients that a command is for: those in a room (a client's `sid` names its own), or all."""
    return participants.everybody() if room is None else participants.in_room(_text(room, "room"))


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidMessage(f"{name} must be text")
    return value
