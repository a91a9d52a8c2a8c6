"""Answers the web console's questions about this process, in pages."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.runtime import time_source
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.inspections import (
    MOST_NAMES,
    MOST_ROW_BYTES,
    MOST_ROWS,
    ConnectionPage,
    ConnectionRow,
    Details,
    DetailsOf,
    GatewayCounts,
    Inspection,
    Load,
    LoadOf,
    RoomPage,
    RoomRow,
)
from asgi_realtime.values.questions import NodeAnswer
from asgi_realtime.values.text import repaired

Row = TypeVar("Row")

LIST_SHARE: Final = 0.02
"""The most of its time that this process uses for lists, each of which looks at every user or room. Over: it does not
answer, and the page is not complete."""
LIST_BURST: Final = 5.0
"""Seconds for which lists may be ahead of that share."""


class Inspections:
    """Answers questions of the console. Nothing is counted or kept for it between two questions."""

    def __init__(
        self, mounts: Mapping[GatewayName, Mount], *, clock: Callable[[], float] = time_source.read_monotonic
    ) -> None:
        self._mounts = mounts
        self._clock = clock
        self._paid_until = 0.0
        self.measure: Callable[[], Load] | None = None
        """Measures the process. None: it has no load to report."""

    def answer(self, question: Inspection) -> NodeAnswer:
        """The answer of this process."""
        if isinstance(question, LoadOf):
            return self._load()
        mount = self._mounts.get(question.gateway)
        if mount is None:
            return NodeAnswer()
        if isinstance(question, DetailsOf):
            connection = mount.rooms.get(question.connection_id)
            return NodeAnswer(details=None if connection is None else _details(connection, self._clock()))
        began = self._clock()
        if self._paid_until - began > LIST_BURST:
            return NodeAnswer(cut=True)
        if isinstance(question, RoomPage):
            found = room_page(question, mount.rooms)
        else:
            found = connection_page(question, mount.rooms)
        self._paid_until = max(self._paid_until, began) + (self._clock() - began) / LIST_SHARE
        return found

    def _load(self) -> NodeAnswer:
        if self.measure is None:
            return NodeAnswer()
        gateways = {
            name: GatewayCounts(len(mount.rooms), len(mount.rooms.names), len(mount.rooms.users))
            for name, mount in self._mounts.items()
        }
        return NodeAnswer(load=msgspec.structs.replace(self.measure(), gateways=gateways))


def connection_page(page: ConnectionPage, rooms: Rooms) -> NodeAnswer:
    """A page of the connections of a gateway, or of a room."""
    wanted = max(1, min(page.limit, MOST_ROWS))
    found = _members(page, page.room, rooms) if page.room is not None else _connections(page, rooms, wanted + 2)
    after = page.after
    keys = heapq.nsmallest(wanted + 1, found if after is None else [key for key in found if key > after])
    rows, more = _bounded([_row(found[key]) for key in keys[:wanted]], lambda row: len(row.user_id) + len(row.id))
    return NodeAnswer(rows=rows, more=more or len(keys) > wanted)


_Found = dict[tuple[str, str], InternalConnection]


def _members(page: ConnectionPage, room: RoomName, rooms: Rooms) -> _Found:
    return {
        (connection.identity.user_id, connection.id): connection
        for connection in rooms.of_room(room)
        if connection.identity.user_id.startswith(page.search)
    }


def _connections(page: ConnectionPage, rooms: Rooms, users: int) -> _Found:
    """The connections of the first users, which are enough for a page, and those whose own id is searched.

    Of the user that the last page ended with, all connections may have been on it, so there is one user more.
    """
    text, first = page.search, "" if page.after is None else page.after[0]
    names = [name for name in rooms.users if name >= first and name.startswith(text)]
    found: _Found = {
        (user_id, connection.id): connection
        for user_id in heapq.nsmallest(users, names)
        for connection in rooms.of_user(user_id)
    }
    if text:
        for id in rooms.ids:
            if id.startswith(text) and (connection := rooms.get(id)) is not None:
                found[connection.identity.user_id, id] = connection
    return found


def room_page(page: RoomPage, rooms: Rooms) -> NodeAnswer:
    """A page of the rooms of a gateway that have members here."""
    wanted = max(1, min(page.limit, MOST_ROWS))
    text, after = page.search, page.after
    names = heapq.nsmallest(wanted + 1, [name for name in rooms.names if name > after and name.startswith(text)])
    rows, more = _bounded([RoomRow(name, rooms.size(name)) for name in names[:wanted]], lambda row: len(row.name))
    return NodeAnswer(rooms=rows, more=more or len(names) > wanted)


def _bounded(rows: Iterable[Row], length: Callable[[Row], int]) -> tuple[tuple[Row, ...], bool]:
    """The first rows, at least one if there is any, and whether rows are left out because their names are long."""
    found: list[Row] = []
    size = 0
    for row in rows:
        size += length(row)
        if size > MOST_ROW_BYTES and found:
            return tuple(found), True
        found.append(row)
    return tuple(found), False


def _row(connection: InternalConnection) -> ConnectionRow:
    return ConnectionRow(
        connection.identity.user_id,
        connection.id,
        connection.transport.kind,
        connection.handshake.client_address or "",
        len(connection.room_set),
        connection.transport.outbox.size,
    )


def _details(connection: InternalConnection, now: float) -> Details:
    identity, transport = connection.identity, connection.transport
    answered_at = transport.answered_at
    return Details(
        user_id=identity.user_id,
        id=connection.id,
        transport=transport.kind,
        address=connection.handshake.client_address or "",
        path=connection.handshake.path,
        rooms=tuple(heapq.nsmallest(MOST_NAMES, connection.room_set)),
        room_count=len(connection.room_set),
        claims=tuple(heapq.nsmallest(MOST_NAMES, [repaired(name[:200]) for name in identity.claims])),
        expires_at=identity.expires_at,
        waiting=transport.outbox.size,
        behind=connection.behind,
        silent=None if answered_at is None else max(0.0, now - answered_at),
    )
