"""The mounted gateways, each with its rooms."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from asgi_realtime.connection.connection import Connection, InternalConnection
from asgi_realtime.connection.positions import GatewayPositions
from asgi_realtime.hub.recent_deliveries import RecentDeliveries
from asgi_realtime.hub.recipients import Recipients
from asgi_realtime.hub.replayed_frames import ReplayedFrames
from asgi_realtime.hub.room_refresh import RoomsOf
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.hub.subscriptions import UNAVAILABLE
from asgi_realtime.limits import Limits
from asgi_realtime.metrics.recorded import Histogram
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.tasks import HOST_ERRORS
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Publication, Subscription, ToRoom

Request: TypeAlias = Callable[[Publication, Sequence[Connection]], None]
"""Sends a publication with `reply_to` to each recipient, and asks it for an acknowledgement."""
Takes: TypeAlias = Callable[[Connection], bool]
"""Says whether a connection gets a publication."""
RecipientFilter: TypeAlias = Callable[[Publication], Takes | None]
"""Returns a function that says which connections get a publication. None: all recipients get it."""


class Mount:
    """A gateway as the hub uses it: its dialect, limits, rooms and callbacks."""

    __slots__ = (
        "_failures",
        "_replayed",
        "delivered",
        "dialect",
        "limits",
        "positions",
        "recent",
        "recipient_filter",
        "request",
        "rooms",
        "rooms_of",
    )

    def __init__(
        self,
        dialect: Dialect,
        limits: Limits,
        rooms: Rooms,
        rooms_of: RoomsOf | None,
        recipient_filter: RecipientFilter | None,
        positions: GatewayPositions | None,
        delivered: Histogram | None = None,
    ) -> None:
        self.delivered = delivered
        """Observes the recipients of each publication. None: nothing does."""
        self.dialect = dialect
        self.limits = limits
        self.rooms = rooms
        self.rooms_of = rooms_of
        self.recipient_filter = recipient_filter
        """The gateway's own filter. Use `takes`."""
        self._failures = FailureLog()
        self.positions = positions
        """None: no client of this gateway gets positions."""
        self.recent = RecentDeliveries()
        """What is delivered to rooms whose history is being read."""
        self._replayed = ReplayedFrames()
        self.request: Request | None = None
        """None: publications with `reply_to` are not for this gateway."""

    def frame(self, publication: Publication, recipients: Recipients) -> Frame:
        """The frame of a publication that is delivered now, in the forms that the recipients get."""
        if self.recent.logs:
            self.recent.note(publication)
        frame = self.plain_frame(publication)
        if self.positions is None:
            return frame
        plain, positioned = recipients.forms
        if not positioned:
            return frame
        position = publication.position
        if position is not None:
            other = self.dialect.with_position(frame, position)
        else:
            other = self._with_newest_position(frame, self.positions)
        if not plain:
            return other
        frame.positioned = other
        return frame

    def frame_for(self, connection: InternalConnection, publication: Publication) -> Frame:
        """The frame of a publication as one connection gets it when it is broadcast."""
        if self.positions is None or connection.positions is None:
            return self.plain_frame(publication)
        position = publication.position
        if position is None:
            return self._with_newest_position(self.plain_frame(publication), self.positions)
        frame = self._replayed.get(position)
        if frame is None:
            frame = self.dialect.with_position(self.plain_frame(publication), position)
            self._replayed.put(position, frame)
        return frame

    def frames_for(self, connection: InternalConnection, publications: Iterable[Publication]) -> list[Frame]:
        """The frames of publications for one connection, except those that the gateway's filter keeps from it."""
        return [self.frame_for(connection, each) for each in publications if self._takes(connection, each)]

    def plain_frames_for(self, connection: InternalConnection, publications: Iterable[Publication]) -> list[Frame]:
        """The same without positions."""
        return [self.plain_frame(each) for each in publications if self._takes(connection, each)]

    def takes(self, publication: Publication) -> Takes | None:
        """Which connections get a publication, by the gateway's filter. None: all of them.

        The function is the host's. If it raises, that is logged, and the connection does not get the publication: what
        a filter keeps back may be what a client must not see. All others get it.

        Raises what the filter itself raises, if it is an `Exception`, and else a `RuntimeError`.
        """
        try:
            takes = None if self.recipient_filter is None else self.recipient_filter(publication)
        except (SystemExit, asyncio.CancelledError) as error:
            raise RuntimeError(f"recipient_filter raised {type(error).__name__}") from error
        return None if takes is None else functools.partial(self._asked, takes)

    def _asked(self, takes: Takes, connection: Connection) -> bool:
        try:
            return takes(connection)
        except HOST_ERRORS as error:
            self._failures.failed(connection.gateway, "recipient_filter failed", error, connection=connection)
            return False

    def _takes(self, connection: InternalConnection, publication: Publication) -> bool:
        takes = self.takes(publication)
        return takes is None or takes(connection.public)

    def plain_frame(self, publication: Publication) -> Frame:
        """The frame of a publication without its position."""
        return self.dialect.event(publication.event, publication.payload, publication.attachments)

    def _with_newest_position(self, frame: Frame, positions: GatewayPositions) -> Frame:
        if self.dialect.needs_position(frame):
            return self.dialect.with_position(frame, positions.newest)
        return frame


class Mounts(dict[GatewayName, Mount]):
    """The mounted gateways by name. `Subscriptions` uses it to reach the members of their rooms."""

    def has(self, subscription: Subscription) -> bool:
        """Whether a room, a user or a gateway has connections here."""
        return self[subscription.gateway].rooms.has(subscription.target)

    def target_count(self) -> int:
        """How many rooms, users and gateways have connections here."""
        return sum(mount.rooms.occupied for mount in self.values())

    def end_members(self, subscription: Subscription) -> None:
        """Close the members of a room whose subscription failed: they would miss its events without notice."""
        target = subscription.target
        if type(target) is ToRoom:
            rooms = self[subscription.gateway].rooms
            for connection in rooms.of_room(target.room):
                rooms.leave(connection, target.room)
                connection.end(*UNAVAILABLE)
