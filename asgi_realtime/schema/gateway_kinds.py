"""A gateway in a schema: a class or an instance, its name and address, its tokens, and the arguments of its events."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args, get_origin

from asgi_realtime.auth.token_sources import TokenPlace, TokenSource
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway

AnyGateway: TypeAlias = Gateway | type[Gateway]
Direction: TypeAlias = Literal["up", "down"]
"""Whether clients send a payload, or the server."""


def kind_of(gateway: AnyGateway) -> type[Gateway]:
    """The class of a gateway."""
    return gateway if isinstance(gateway, type) else type(gateway)


def has_own_class(gateway: AnyGateway) -> bool:
    """Whether its class is not one of those that every gateway is made of."""
    return not kind_of(gateway).__module__.startswith("asgi_realtime.gateways.")


def is_websocket(gateway: AnyGateway) -> bool:
    """Whether a gateway has a WebSocket path of its own, not a Socket.IO namespace."""
    return issubclass(kind_of(gateway), WebSocketGateway)


def address_of(gateway: AnyGateway) -> str | None:
    """The path or namespace. Of a class it is the default. None: the class has none."""
    if not isinstance(gateway, type):
        return gateway.name
    parameters = inspect.signature(gateway.__init__).parameters
    found = parameters.get("path" if is_websocket(gateway) else "namespace")
    return found.default if found is not None and isinstance(found.default, str) else None


def places_of(gateway: AnyGateway) -> Sequence[TokenPlace] | None:
    """The places that a gateway reads tokens from, in order. None: only its authenticator knows them."""
    if isinstance(gateway, type):
        sources: Sequence[TokenSource] | None = gateway.default_token_sources()
    else:
        sources = gateway.accepted_token_sources()
    return None if sources is None else [source for source in sources if isinstance(source, TokenPlace)]


def gateway_name(gateway: AnyGateway) -> str:
    """Return `board` for a `BoardGateway`, or for a gateway at `/board` without a class of its own.

    A name without a letter or digit of ASCII becomes the numbers of its characters.
    """
    name = kind_of(gateway).__name__.removesuffix("Gateway")
    if not isinstance(gateway, type) and not has_own_class(gateway):
        name = gateway.name.strip("/") or name
    found = slug(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name))
    return found or "gateway" + "".join(f"-{ord(one):x}" for one in name)


def slug(name: str) -> str:
    """A name in lower case, with one hyphen for all that is no letter or digit of ASCII."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def arguments_of(payload: Any) -> list[Any]:
    """The types of the arguments that an event has on Socket.IO."""
    if payload is None:
        return []
    return list(get_args(payload)) if get_origin(payload) is tuple and ... not in get_args(payload) else [payload]
