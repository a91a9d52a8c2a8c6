"""Messages of a document: an event of Socket.IO with its arguments, or a JSON frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.schema.asyncapi.component_schemas import ComponentSchemas, JSONSchema
from asgi_realtime.schema.gateway_kinds import Direction, arguments_of
from asgi_realtime.schema.sentences import target_sentence


class Messages:
    """The messages of one gateway, by key. `owner` is its name."""

    def __init__(self, schemas: ComponentSchemas, owner: str) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._schemas = schemas
        self._owner = owner
        self._failure: str | None = None

    def add_event(self, event: EventDeclaration) -> str:
        """Add an event of Socket.IO, and return its key."""
        arguments = arguments_of(event.payload)
        about = {"event": event.name, "arguments": len(arguments)}
        message = {"name": event.name, "summary": target_sentence(event), "x-socketio": about}
        return self._add(action(event), event.name, message | self._arguments(arguments, event.direction))

    def add_acknowledgement(self, key: str, name: str, payload: Any) -> str:
        """Add what the server answers to an event, and return the key of the message."""
        arguments = arguments_of(payload)
        message = {"name": name, "x-socketio": {"packet": "ACK", "arguments": len(arguments)}}
        return self._add("reply", key, message | self._arguments(arguments, "down"))

    def add_failure(self, payload: Any) -> str:
        """Add what the server answers to an event that is refused or fails, once, and return its key."""
        if self._failure is None:
            self._failure = self.add_acknowledgement("failure", "failure", payload)
        return self._failure

    def add_connect_error(self, payload: Any) -> str:
        """Add the refusal of CONNECT, and return its key."""
        message = {
            "name": "connect_error",
            "summary": "To a client that is refused.",
            "x-socketio": {"packet": "CONNECT_ERROR"},
        }
        return self._add("send", "connect_error", message | self._arguments([payload], "down"))

    def add_frame(self, event: EventDeclaration, *, offset: bool) -> str:
        """Add a JSON frame, and return its key. `offset`: whether it may have a position."""
        properties: dict[str, Any] = {"type": {"type": "string", "const": event.name}}
        required, more, examples = ["type"], {}, []
        if event.payload is not None:
            data = self._schemas.schema_of(event.payload, event.direction, self._owner)
            given = self._schemas.fields_of(data)
            examples = given.get("examples", [])
            if not event.flat:
                properties["data"] = data
                required.append("data")
                examples = [{"data": example} for example in examples]
            elif "properties" in given:
                more = {key: value for key, value in given.items() if key not in ("title", "examples")}
                properties |= given["properties"]
                required += given.get("required", ())
            else:
                more = {"allOf": [data]}
        if offset:
            properties["offset"] = {"type": "string", "description": "The position of the frame, for recovery."}
        payload = more | {"type": "object", "properties": properties, "required": required}
        message = {"name": event.name, "summary": target_sentence(event), "payload": payload}
        shown = [{"payload": {"type": event.name, **example}} for example in examples if isinstance(example, dict)]
        return self._add(action(event), event.name, message | ({"examples": shown} if shown else {}))

    def _arguments(self, arguments: Sequence[Any], direction: Direction) -> JSONSchema:
        found = [self._schemas.schema_of(one, direction, self._owner) for one in arguments]
        if not found:
            return {}
        if len(found) == 1:
            examples = self._schemas.fields_of(found[0]).get("examples", ())
            shown = {"examples": [{"payload": example} for example in examples]} if examples else {}
            return {"payload": found[0], **shown}
        number = len(found)
        tuple_schema = {"type": "array", "items": found, "minItems": number, "maxItems": number}
        return {"payload": {**tuple_schema, "description": "The arguments of the event, in order."}}

    def _add(self, action: str, name: str, message: dict[str, Any]) -> str:
        key = base = f"{action}.{key_of(name)}"
        number = 1
        while key in self.found:
            number += 1
            key = f"{base}_{number}"
        self.found[key] = {field: value for field, value in message.items() if value != ""}
        return key


def action(event: EventDeclaration) -> str:
    """What the application does with an event: `receive` or `send`."""
    return "receive" if event.direction == "up" else "send"


def key_of(name: str) -> str:
    """A name as a key that needs no escape in a reference: `message/create` is `message_create`."""
    name = re.sub(r"[^\x00-\x7f]", lambda one: f"u{ord(one[0]):x}", name)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
