"""The events of one gateway, with the types of their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.description.types import Definition, HostType, Type
from asgi_realtime.schema.gateway_kinds import AnyGateway, Direction, arguments_of, is_websocket, kind_of
from asgi_realtime.schema.sentences import target_sentence


@dataclass(frozen=True)
class Event:
    """An event. `about` says in a sentence who receives it, or what it does.

    A JSON frame has one argument or none; its fields are beside `type` if it is `flat`. An event that is acknowledged
    is answered with an `acknowledgement`, or with a `failure`.
    """

    name: str
    about: str
    arguments: tuple[Type, ...]
    flat: bool
    acknowledgement: Type | None
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
    acknowledged = event.acknowledgement is not None and not frames
    answers = [types.type_of(one, "down") for one in (event.acknowledgement, failure)] if acknowledged else [None, None]
    return Event(event.name, target_sentence(event), arguments, event.flat, *answers)


def host_types(*events: Event) -> list[str]:
    """The names of the application's types in events, sorted."""
    types = [one for event in events for one in (*event.arguments, event.acknowledgement)]
    return sorted({one.name for one in types if isinstance(one, HostType)})
