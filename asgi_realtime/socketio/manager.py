"""The look-ups of python-socketio's `server.manager`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from asgi_realtime.connection.connection import Connection
from asgi_realtime.socketio.namespace_gateway import NamespaceGateway
from asgi_realtime.transports.socketio.namespace_transport import transport_of


class Manager:
    """Looks up the clients and rooms of this process, now. To change something, call the server's methods.

    An `eio_sid` is the id of the client's transport. The client authenticates its requests with it: keep it out of
    logs.
    """

    def __init__(self, gateways: Mapping[str, NamespaceGateway]) -> None:
        self._gateways = gateways

    @property
    def rooms(self) -> Mapping[str, Mapping[str | None, Mapping[str, str]]]:
        """By namespace and room: the clients in it, `sid` to `eio_sid`. The room None is everybody."""
        return {name: _NamespaceRooms(self, name) for name in self.get_namespaces()}

    def get_namespaces(self) -> Iterable[str]:
        """The namespaces that have clients."""
        return [name for name, gateway in self._gateways.items() if gateway.participants.everybody()]

    def get_participants(self, namespace: str, room: str | None | Sequence[str]) -> Iterator[tuple[str, str]]:
        """The clients in a room, or in any of several, each once: pairs of `sid` and `eio_sid`. None: everybody."""
        gateway = self._gateways.get(namespace)
        if gateway is not None:
            names = None if room is None else [room] if isinstance(room, str) else list(room)
            for connection in gateway.participants.in_rooms(names):
                yield connection.id, transport_of(connection).session_id

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """The rooms a client is in, its own included."""
        connection = self._find(sid, namespace)
        return [] if connection is None else [*connection.rooms]

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is connected to a namespace."""
        return self._find(sid, namespace) is not None

    def is_sid_room(self, namespace: str, room: str) -> bool:
        """Whether a room is a client's own room."""
        return self.is_connected(room, namespace)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The id of a client's transport; None if it is not connected."""
        connection = self._find(sid, namespace)
        return None if connection is None else transport_of(connection).session_id

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The id that a transport's client has in a namespace; None if it is not connected to it. Looks at each."""
        return next((sid for sid, transport in self.get_participants(namespace, None) if transport == eio_sid), None)

    def _find(self, sid: str, namespace: str) -> Connection | None:
        gateway = self._gateways.get(namespace)
        return None if gateway is None else gateway.participants.connected(sid)

    def names(self, namespace: str) -> Iterator[str]:
        """The names of a namespace's rooms."""
        gateway = self._gateways.get(namespace)
        if gateway is not None:
            yield from gateway.participants.room_names()


class _NamespaceRooms(Mapping[str | None, Mapping[str, str]]):
    """The rooms of one namespace."""

    def __init__(self, manager: Manager, namespace: str) -> None:
        self._manager = manager
        self._namespace = namespace

    def __getitem__(self, room: str | None) -> Mapping[str, str]:
        clients = dict(self._manager.get_participants(self._namespace, room))
        if not clients:
            raise KeyError(room)
        return clients

    def __iter__(self) -> Iterator[str | None]:
        yield None
        yield from self._manager.names(self._namespace)

    def __len__(self) -> int:
        return 1 + sum(1 for _ in self._manager.names(self._namespace))
