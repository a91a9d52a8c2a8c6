"""The events of a gateway: those that it declares, and those that its handlers take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from types import GenericAlias
from typing import Any

import msgspec

from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.replies import EventAck
from asgi_realtime.handlers.event_declarations import EventDeclaration, down
from asgi_realtime.handlers.event_handlers import declared, declared_once, payload_types
from asgi_realtime.protocols.json_dialect import FlatJSONDialect

_ACK = down("ack", EventAck, to="the sender of an event that is handled once, each time that it is sent")


def declarations(gateway: Gateway | type[Gateway]) -> tuple[EventDeclaration, ...]:
    """Return every event of a gateway, or of a class of gateways: down first, its own before the inherited.

    Events in `Gateway.events` are returned as they are. An event that has only a handler is declared by that: the
    payload by its parameters, the acknowledgement by its result, the effect by the first line of its docstring.

    If the gateway reads flat frames, each event of clients is flat, whatever its declaration says.
    """
    kind = gateway if isinstance(gateway, type) else type(gateway)
    found: dict[tuple[str, str], EventDeclaration] = {}
    for owner in kind.__mro__:
        for declaration in vars(owner).get("events", ()):
            if declaration.direction == "up" or declaration.name not in kind.omitted:
                found.setdefault((declaration.direction, declaration.name), declaration)
    functions = declared(gateway) if isinstance(gateway, type) else gateway.functions
    if once_events(gateway) and not kind.acknowledges:
        found.setdefault(("down", "ack"), _ACK)
    for event, function in functions.items():
        if ("up", event) not in found:
            found["up", event] = _read(event, function)
    events = list(found.values())
    if isinstance(getattr(gateway, "wire", None), FlatJSONDialect):
        events = [msgspec.structs.replace(event, flat=True) if event.direction == "up" else event for event in events]
    return tuple(sorted(events, key=lambda declaration: declaration.direction))


def once_events(gateway: Gateway | type[Gateway]) -> Collection[str]:
    """Return the events of clients that are handled once."""
    return declared_once(gateway) if isinstance(gateway, type) else gateway.once


def _read(event: str, function: Callable[..., Any]) -> EventDeclaration:
    payloads, acknowledgement = payload_types(event, function)
    return EventDeclaration(
        name=event,
        direction="up",
        payload=payloads[0] if len(payloads) == 1 else GenericAlias(tuple, tuple(payloads)) if payloads else None,
        acknowledgement=acknowledgement,
        target=(inspect.getdoc(function) or "").partition("\n")[0],
    )
