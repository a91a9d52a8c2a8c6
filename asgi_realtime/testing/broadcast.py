"""One broadcast of an application, and which one a test expects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from asgi_realtime.payloads.encoding import encode
from asgi_realtime.testing.mailbox import Where, shortened
from asgi_realtime.testing.payloads import as_received
from asgi_realtime.values.ids import Id, id_text
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication, ToAll, ToRoom, ToRooms

ANY: Final[Any] = object()
"""Data of which nothing is expected. None is an expectation: JSON's `null`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broadcast:
    """One broadcast of the application. Exactly one of `rooms`, `users` and `to_all` says to whom."""

    event: str
    args: tuple[Json, ...] = ()
    """The payload as clients get it: JSON, with `bytes` in place of Socket.IO attachments. Empty: there is none."""
    gateway: str = "/"
    rooms: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    to_all: bool = False
    except_: tuple[str, ...] = ()
    """The connections that were left out."""
    volatile: bool = False
    delivered: int = 0
    """How many connections it was written to."""

    @property
    def data(self) -> Json:
        """The payload, or None. None is also JSON's `null`: `args` is empty where there was no payload."""
        return self.args[0] if self.args else None

    def __str__(self) -> str:
        where = "all" if self.to_all else ", ".join([*self.rooms, *self.users])
        kind = "" if self.to_all else "user " if self.users else "room "
        parts = [f"{self.event} to {kind}{where}"]
        if self.gateway != "/":
            parts.append(f"on {self.gateway}")
        if self.except_:
            parts.append(f"except {len(self.except_)}")
        text = " ".join(parts) + f", {self.delivered} delivered"
        return shortened(": ".join([text, *map(repr, self.args)]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """A broadcast that a test expects. What is None is not compared."""

    event: str | None
    room: Id | None
    user: Id | None
    to_all: bool | None
    gateway: str | None
    data: Any
    where: Where | None

    def fits(self, found: Broadcast) -> bool:
        """Whether this is one."""
        return (
            (self.event is None or self.event == found.event)
            and (self.room is None or id_text(self.room, "room") in found.rooms)
            and (self.user is None or id_text(self.user, "user") in found.users)
            and (self.to_all is None or self.to_all == found.to_all)
            and (self.gateway is None or self.gateway == found.gateway)
            and (self.data is ANY or (bool(found.args) and as_received(*encode(self.data)) == found.args))
            and (self.where is None or self.where(found.data))
        )

    def __str__(self) -> str:
        parts = ["broadcast" if self.event is None else self.event]
        if self.room is not None:
            parts.append(f"to room {self.room}")
        if self.user is not None:
            parts.append(f"to user {self.user}")
        if self.to_all is not None:
            parts.append("to all" if self.to_all else "to not all")
        if self.gateway is not None:
            parts.append(f"on {self.gateway}")
        if self.data is not ANY:
            parts.append(shortened(f"with {self.data!r}"))
        if self.where is not None:
            parts.append("that fits")
        return " ".join(parts)


def as_broadcast(publication: Publication, delivered: int) -> Broadcast:
    """What a publication says, which was written to `delivered` connections."""
    target = publication.target
    to_all = isinstance(target, ToAll)
    rooms: Iterable[str] = ()
    users: Iterable[str] = ()
    if isinstance(target, ToRoom):
        rooms = (target.room,)
    elif isinstance(target, ToRooms):
        rooms = target.rooms
    elif not isinstance(target, ToAll):
        users = target.user_ids
    return Broadcast(
        event=publication.event,
        args=as_received(publication.payload, publication.attachments),
        gateway=publication.gateway,
        rooms=tuple(rooms),
        users=tuple(users),
        to_all=to_all,
        except_=publication.except_,
        volatile=publication.volatile,
        delivered=delivered,
    )
