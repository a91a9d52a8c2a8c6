"""The names and attributes of the spans of a broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from asgi_realtime.tracing.attributes import EVENT, MESSAGE_ID, ROOM, TARGET, common_attributes
from asgi_realtime.values.publications import Publication, ToAll, ToRoom, ToRooms, ToUsers

_KINDS: Final[Mapping[type, str]] = {ToRooms: "rooms", ToUsers: "users", ToAll: "all"}


class Described(NamedTuple):
    """What a span begins with."""

    name: str
    attributes: dict[str, str | int]


def describe(operation: Literal["publish", "deliver"], publication: Publication) -> Described:
    """The name and the attributes of a span of this publication. The ids of users are not among them."""
    gateway, event, target = publication.gateway, publication.event, publication.target
    attributes = common_attributes(operation, gateway)
    attributes[EVENT.name] = event
    if isinstance(target, ToRoom):
        attributes[TARGET.name] = "room"
        attributes[ROOM.name] = target.room
    else:
        attributes[TARGET.name] = _KINDS[type(target)]
    if publication.position is not None:
        attributes[MESSAGE_ID.name] = publication.position
    return Described(f"{operation} {gateway} {event}", attributes)
