"""A gateway in a schema: a class or an instance, its name, and the arguments of its events."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias, get_args, get_origin

from asgi_realtime.gateways.base import Gateway

AnyGateway: TypeAlias = Gateway | type[Gateway]
Direction: TypeAlias = Literal["up", "down"]
"""Whether clients send a payload, or the server."""


def kind_of(gateway: AnyGateway) -> type[Gateway]:
    """The class of a gateway."""
    return gateway if isinstance(gateway, type) else type(gateway)


def has_own_class(gateway: AnyGateway) -> bool:
    """Whether its class is not one of those that every gateway is made of."""
    return not kind_of(gateway).__module__.startswith("asgi_realtime.gateways.")


def gateway_name(gateway: AnyGateway) -> str:
    """Return `board` for a `BoardGateway`, or for a gateway at `/board` without a class of its own."""
    name = kind_of(gateway).__name__.removesuffix("Gateway")
    if not isinstance(gateway, type) and not has_own_class(gateway):
        name = gateway.name.strip("/") or name
    return slug(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name))


def slug(name: str) -> str:
    """A name in lower case, with one hyphen for all that is no letter or digit of ASCII."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def arguments_of(payload: Any) -> list[Any]:
    """The types of the arguments that an event has on Socket.IO."""
    if payload is None:
        return []
    return list(get_args(payload)) if get_origin(payload) is tuple and ... not in get_args(payload) else [payload]
