"""The events of one gateway, with the types of their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_origin

from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.description.types import Choice, Definition, HostType, Plain, Type, Values
from asgi_realtime.schema.gateway_kinds import AnyGateway, Direction, arguments_of, is_websocket, kind_of
from asgi_realtime.schema.sentences import target_sentence


@dataclass(frozen=True)
class Event:
    """An event. `about` says in a sentence who receives it, or what it does.

    A JSON frame has one argument or none; its fields are beside `type` if it is `flat`. An event that is acknowledged
    is answered with the values of an `acknowledgement`, or with a `failure`.
    """

    name: str
    about: str
    arguments: tuple[Type, ...]
    flat: bool
    acknowledgement: tuple[Type, ...] | None
    failure: Type | None


@dataclass(frozen=True)
class GatewayDescription:
    """What a client of a gateway needs to know. `frames`: whether it reads and writes JSON frames, not Socket.IO."""

    frames: bool
    down: tuple[Event, ...]
    up: tuple[Event, ...]
    definitions: tuple[Definition, ...]


def describe(gateway: AnyGateway) -> GatewayDescription:
    """Describe a gateway, or a class of gateways.

    Raises:
        TypeError: for a payload type that has no form in JSON that clients could know.
        ValueError: for payload types that share a name, or have different fields in the two directions.
    """
    types = PayloadTypes()
    frames = is_websocket(gateway)
    events = declarations(gateway)

    def of(direction: Direction) -> tuple[Event, ...]:
        chosen = [event for event in events if event.direction == direction]
        return tuple(_event(event, types, frames, kind_of(gateway).failure) for event in chosen)

    down, up = of("down"), of("up")
    return GatewayDescription(frames, down, up, tuple(types.definitions()))


def _event(event: EventDeclaration, types: PayloadTypes, frames: bool, failure: Any) -> Event:
    payload = event.payload
    annotations = arguments_of(payload) if not frames else [] if payload is None else [payload]
    arguments = tuple(types.type_of(one, event.direction) for one in annotations)
    about = target_sentence(event)
    if event.acknowledgement is None or frames:
        return Event(event.name, about, arguments, event.flat, None, None)
    values = tuple(types.type_of(one, "down") for one in arguments_of(event.acknowledgement))
    if get_origin(event.acknowledgement) is not tuple:
        values = tuple(map(_without_null, values))
    return Event(event.name, about, arguments, event.flat, values, types.type_of(failure, "down"))


def _without_null(kind: Type) -> Type:
    """The type of what a handler returns as a client gets it: None is acknowledged without a value."""
    match kind:
        case Plain("null"):
            return Plain("absent")
        case Choice():
            return Choice(tuple(map(_without_null, kind.types)))
        case Values() if None in kind.values:
            return Choice((Values(tuple(one for one in kind.values if one is not None)), Plain("absent")))
    return kind


def host_types(*events: Event) -> list[str]:
    """The names of the application's types in events, sorted."""
    types = [one for event in events for one in (*event.arguments, *(event.acknowledgement or ()))]
    return sorted({one.name for one in types if isinstance(one, HostType)})
