"""Asks all processes for the console, and merges their pages to one."""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broker.position_order import newest_of
from asgi_realtime.console import payloads
from asgi_realtime.console.payloads import MOST_ROWS, ROWS
from asgi_realtime.errors import PositionLost
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.limits import Limits
from asgi_realtime.settings import Settings
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.inspections import ConnectionPage, ConnectionRow, DetailsOf, LoadOf, RoomPage
from asgi_realtime.values.publications import Position, Publication, Target
from asgi_realtime.values.questions import ConnectionsOf, RoomSize
from asgi_realtime.variables import variable

R = TypeVar("R")
K = TypeVar("K", bound=Any)

EVENTS: Final = 50
"""Events of history in one answer."""
SHOWN_BYTES: Final = 4_096
"""Bytes of a payload that are shown."""
TAIL_EVENTS: Final = 200
"""Events in one answer to `tail`."""
TAIL_BYTES: Final = 262_144
"""Bytes of events after which such an answer has no further event."""
TAIL_EVENT_BYTES: Final = 1_000_000
"""Bytes of an event, which are those of its payload and its recipients, over which it is not in such an answer."""


class ClusterView:
    """What the console shows. Methods raise `BrokerUnavailable` if the processes could not be asked."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._publisher: Publisher = context.publisher

    async def nodes(self) -> payloads.Nodes:
        """The load of each process."""
        answers = await self._publisher.ask(LoadOf())
        nodes = [
            payloads.Node(
                id=id,
                asked=id == self._publisher.node,
                version=load.version,
                host=load.host,
                pid=load.pid,
                uptime=load.uptime,
                cpu=load.cpu,
                memory=load.memory,
                lag=load.lag,
                tasks=load.tasks,
                waiting=load.waiting,
                gateways={str(name): counts for name, counts in load.gateways.items()},
            )
            for id, answer in sorted(answers.by_node.items())
            if (load := answer.load) is not None
        ]
        gateways, missing = [*map(str, self._context.registry)], list(answers.missing)
        return payloads.Nodes(nodes=nodes, gateways=gateways, complete=answers.complete, missing=missing)

    async def connections(self, asked: payloads.ConnectionsRequest) -> payloads.Connections:
        """A page of the connections of a gateway or of a room."""
        page = ConnectionPage(
            gateway=GatewayName(asked.gateway),
            search=asked.search,
            room=None if asked.room is None else RoomName(asked.room),
            after=asked.after,
            limit=ROWS,
        )
        answers = await self._publisher.ask(page)
        parts = [
            ([(row, node) for row in answer.rows], answer.more) for node, answer in sorted(answers.by_node.items())
        ]
        found, more = merged(parts, _place)
        rows = [
            payloads.Connection(
                id=row.id,
                user_id=row.user_id,
                node=node,
                transport=row.transport,
                address=row.address,
                rooms=row.rooms,
                waiting=row.waiting,
            )
            for row, node in found[:ROWS]
        ]
        return payloads.Connections(rows=rows, more=more or len(found) > ROWS, complete=answers.complete)

    async def rooms(self, asked: payloads.RoomsRequest) -> payloads.Rooms:
        """A page of the rooms of a gateway, with their members on all processes."""
        page = RoomPage(gateway=GatewayName(asked.gateway), search=asked.search, after=asked.after, limit=ROWS)
        answers = await self._publisher.ask(page)
        found, more = merged([(each.rooms, each.more) for each in answers.by_node.values()], lambda row: row.name)
        sizes: Counter[str] = Counter()
        for row in found:
            sizes[row.name] += row.members
        rows = [payloads.Room(name=name, members=sizes[name]) for name in sorted(sizes)]
        return payloads.Rooms(rows=rows[:ROWS], more=more or len(rows) > ROWS, complete=answers.complete)

    async def connection(self, asked: payloads.ConnectionRequest) -> payloads.ConnectionDetails:
        """One connection, wherever it is."""
        answers = await self._publisher.ask(DetailsOf(GatewayName(asked.gateway), ConnectionId(asked.id)))
        for node, answer in answers.by_node.items():
            if answer.details is not None:
                return payloads.ConnectionDetails(node=node, details=answer.details, complete=True, missing=())
        return payloads.ConnectionDetails(node=None, details=None, complete=answers.complete, missing=answers.missing)

    async def room(self, gateway: GatewayName, room: RoomName) -> payloads.RoomSize:
        """The number of members of a room, on all processes."""
        answers = await self._publisher.ask(RoomSize(gateway, room))
        members = sum(answer.members for answer in answers.by_node.values())
        return payloads.RoomSize(members=members, complete=answers.complete, missing=answers.missing)

    async def online(self, asked: payloads.OnlineRequest) -> payloads.Online:
        """A page of the users who are online, on all processes."""
        online = await self._publisher.answer(self._context.presence.online(GatewayName(asked.gateway)))
        matching = [user_id for user_id in online if user_id.startswith(asked.search)]
        rows = heapq.nsmallest(asked.limit + 1, [user_id for user_id in matching if user_id > asked.after])
        shown = [*map(str, rows[: asked.limit])]
        return payloads.Online(rows=shown, total=len(matching), more=len(rows) > asked.limit)

    async def user(self, asked: payloads.UserRequest) -> payloads.User:
        """Whether a user is online, and the user's connections."""
        gateway, user_id = GatewayName(asked.gateway), UserId(asked.user_id)
        online = await self._publisher.answer(self._context.presence.is_online(gateway, user_id))
        answers = await self._publisher.ask(ConnectionsOf(gateway, user_id))
        connections = [(str(id), node) for node, each in sorted(answers.by_node.items()) for id in each.connections]
        return payloads.User(
            online=online,
            connections=connections[:MOST_ROWS],
            complete=answers.complete and len(connections) <= MOST_ROWS,
            missing=answers.missing,
        )

    async def history(self, gateway: GatewayName, target: Target, since: str | None) -> payloads.Events:
        """The newest events to a target that history has."""
        position = None if since is None else Position(since)
        newest = await self._publisher.recent(gateway, target, since=position, limit=EVENTS)
        return payloads.Events(events=[*map(_shown, newest.publications)], more=newest.more)

    async def tail(self, gateway: GatewayName, targets: Sequence[Target], since: str | None) -> payloads.Tail:
        """The oldest events after a position, without a gap; see `TailRequest`."""
        # Before history is read, so that nothing up to this position is missing in the answer.
        newest = await self._publisher.position(gateway)
        if since is None:
            return payloads.Tail(events=[], position=newest, more=False, skipped=0, lost=None)
        try:
            found = await self._publisher.history(gateway, Position(since), targets)
        except PositionLost as error:
            return payloads.Tail(events=[], position=newest, more=False, skipped=0, lost=error.message)
        events: list[payloads.TailEvent] = []
        read = skipped = size = 0
        for publication in found:
            if len(events) >= TAIL_EVENTS or size >= TAIL_BYTES:
                break
            read += 1
            own = _size_of(publication)
            if own > TAIL_EVENT_BYTES:
                skipped += 1
                continue
            size += own
            events.append(_whole(publication))
        more = read < len(found)
        last = found[read - 1].position if read else None
        position = last if more and last is not None else newest_of(newest, last)
        return payloads.Tail(events=events, position=position, more=more, skipped=skipped, lost=None)

    def settings(self) -> list[payloads.Setting]:
        """The settings of this process, without secrets."""
        settings = self._context.settings
        return [*_settings(settings, Settings()), *_settings(settings.limits, Limits())]


def merged(parts: Sequence[tuple[Sequence[R], bool]], key: Callable[[R], K]) -> tuple[list[R], bool]:
    """The rows of all processes in one order, and whether there are more after them.

    Each part is in order, and is followed by whether it ends early. After the end of such a part it is not known what
    that process has. So later rows of the others are left to the next page.
    """
    ends = [key(rows[-1]) for rows, more in parts if more and rows]
    end = min(ends, default=None)
    found = [row for rows, _ in parts for row in rows if end is None or key(row) <= end]
    return sorted(found, key=key), end is not None


def _place(found: tuple[ConnectionRow, str]) -> tuple[str, str]:
    row, _ = found
    return row.user_id, row.id


def _shown(publication: Publication) -> payloads.HistoryEvent:
    payload = publication.payload
    return payloads.HistoryEvent(
        position=publication.position or "",
        event=publication.event,
        payload=payload[:SHOWN_BYTES].decode("utf-8", "replace"),
        bytes=len(payload) + sum(map(len, publication.attachments)),
        attachments=len(publication.attachments),
        cut=len(payload) > SHOWN_BYTES,
    )


def _size_of(publication: Publication) -> int:
    return len(publication.payload) + sum(
        len(msgspec.json.encode(names)) for names in (publication.target, publication.except_)
    )


def _whole(publication: Publication) -> payloads.TailEvent:
    return payloads.TailEvent(
        position=publication.position or "",
        event=publication.event,
        to=publication.target,
        payload=publication.payload.decode(),
        attachments=tuple(map(len, publication.attachments)),
        except_=publication.except_,
    )


def _settings(values: Settings | Limits, defaults: Settings | Limits) -> Iterable[payloads.Setting]:
    for field in dataclasses.fields(values):
        if field.name == "limits":  # they have variables of their own
            continue
        value, default = getattr(values, field.name), getattr(defaults, field.name)
        if not field.repr:  # a secret
            shown = "set" if value else "not set"
        else:
            shown = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        yield payloads.Setting(name=variable(field.name), value=shown, changed=value != default)
