"""One channel for a gateway, with its operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from asgi_realtime.gateways.declarations import declarations, once_events
from asgi_realtime.gateways.replies import ConnectError
from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.schema.asyncapi.component_schemas import ComponentSchemas
from asgi_realtime.schema.asyncapi.messages import Messages, action
from asgi_realtime.schema.asyncapi.security import handshake_schemas, security_scheme
from asgi_realtime.schema.gateway_kinds import (
    AnyGateway,
    Direction,
    address_of,
    has_own_class,
    is_websocket,
    kind_of,
    places_of,
)
from asgi_realtime.schema.payload_classes import first_paragraph

_CLOSE_CODES = {
    "1000": "normal, or no frame from the client for too long",
    "1008": "authentication failed or expired, or a limit was exceeded: do not come back with the same token",
    "1009": "a frame was too large",
    "1011": "an internal failure",
    "1012": "the server restarts: come back",
    "1013": "overloaded, or the client reads too slowly: come back later",
}
_ENGINE_IO_QUERY = {
    "EIO": {"type": "string", "const": "4"},
    "transport": {"type": "string", "enum": ["websocket", "polling"]},
}


class ChannelParts(NamedTuple):
    """What one gateway adds to a document. References to payload classes are not final yet."""

    channel: dict[str, Any]
    operations: dict[str, Any]
    security_schemes: dict[str, Any]


def channel_parts(gateway: AnyGateway, key: str, schemas: ComponentSchemas) -> ChannelParts:
    """Describe a gateway as the channel `key`.

    Raises:
        TypeError: for a payload type that has no JSON schema.
        ValueError: for two payload types of one name.
    """
    return _Writer(gateway, key, schemas).parts()


class _Writer:
    def __init__(self, gateway: AnyGateway, key: str, schemas: ComponentSchemas) -> None:
        self._gateway, self._kind, self._key = gateway, kind_of(gateway), key
        self._frames = is_websocket(gateway)
        self._messages = Messages(schemas, key)
        self._places = places_of(gateway)
        self._once = once_events(gateway)
        schemes = dict(security_scheme(place, frames=self._frames) for place in self._places or ())
        self._schemes = schemes
        self._operations: dict[str, Any] = {}

    def parts(self) -> ChannelParts:
        events = declarations(self._gateway)
        keys = {(event.direction, event.name): self._add(event) for event in events}
        for event in events:
            reply = self._reply(event, keys)
            self._operation(keys[event.direction, event.name], event, reply)
        if not self._frames:
            self._operation(self._messages.add_connect_error(ConnectError), None, [])
        return ChannelParts(self._channel(), self._operations, self._schemes)

    def _add(self, event: EventDeclaration) -> str:
        if not self._frames:
            return self._messages.add_event(event)
        return self._messages.add_frame(event, offset=event.direction == "down" and self._kind.recovery)

    def _reply(self, event: EventDeclaration, keys: Mapping[tuple[Direction, str], str]) -> list[str]:
        """The messages that acknowledge an event."""
        if self._frames:
            return [keys["down", name] for name in ("ack", "error")] if event.name in self._once else []
        if event.direction == "down" or event.acknowledgement is None:
            return []
        name = f"acknowledgement of {event.name}"
        answer = self._messages.add_acknowledgement(event.name, name, event.acknowledgement)
        return [answer, self._messages.add_failure(self._kind.failure)]

    def _operation(self, message: str, event: EventDeclaration | None, reply: list[str]) -> None:
        found: dict[str, Any] = {"action": "send" if event is None else action(event), "channel": self._reference()}
        summary = self._messages.found[message].get("summary")
        found |= {"title": self._messages.found[message]["name"], **({"summary": summary} if summary else {})}
        if self._schemes and event is not None:  # a client is refused because it has no valid token
            found["security"] = [{"$ref": f"#/components/securitySchemes/{name}"} for name in self._schemes]
        found["messages"] = [self._reference(message)]
        if reply:
            found["reply"] = {"channel": self._reference(), "messages": [self._reference(one) for one in reply]}
        self._operations[f"{self._key}.{message}"] = found

    def _reference(self, message: str | None = None) -> dict[str, str]:
        return {"$ref": f"#/channels/{self._key}{'' if message is None else f'/messages/{message}'}"}

    def _channel(self) -> dict[str, Any]:
        name = self._kind.__name__ if has_own_class(self._gateway) else self._key
        found: dict[str, Any] = {"address": address_of(self._gateway), "title": name}
        description = self._description()
        if description:
            found["description"] = description
        found["servers"] = [{"$ref": f"#/servers/{'websocket' if self._frames else 'socketio'}"}]
        found["messages"] = self._messages.found
        handshake = handshake_schemas(self._places or ())
        if self._frames:
            found["x-close-codes"] = _CLOSE_CODES
        else:
            found["x-socketio"] = {"namespace": found["address"]}
            tokens = handshake.get("query", {}).get("properties", {})
            properties = _ENGINE_IO_QUERY | tokens
            handshake["query"] = {"type": "object", "required": [*_ENGINE_IO_QUERY], "properties": properties}
        found["bindings"] = {"ws": {"method": "GET", **handshake, "bindingVersion": "0.1.0"}}
        return found

    def _description(self) -> str:
        about = first_paragraph(self._kind) if has_own_class(self._gateway) else ""
        if self._places is not None:
            return about
        return f"{about}\n\nClients authenticate as the application's authenticator requires.".strip()
