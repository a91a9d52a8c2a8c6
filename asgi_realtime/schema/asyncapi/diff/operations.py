"""Reads what a client must know from an AsyncAPI document: channels, their events, replies and security."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from asgi_realtime.schema.asyncapi.diff.alternatives import UnreadableDocument, resolved, shown

Action: TypeAlias = Literal["receive", "send"]


class Event(NamedTuple):
    """A message of an operation. `action` is the application's: it receives what clients send."""

    action: Action
    name: str


class Operation(NamedTuple):
    """What the document says of an event."""

    arguments: list[Any]
    """The schemas of its arguments. A JSON frame is one argument."""
    replies: dict[str, list[Any]]
    """The arguments of each possible acknowledgement, by the name of the message."""
    security: dict[str, str]
    """The schemes of which a client needs one: a description of each, by its contents. Empty: none is needed."""


class Channel(NamedTuple):
    """A channel, with its path below the server."""

    paths: frozenset[str]
    operations: dict[Event, Operation]


def channels_of(document: Mapping[str, Any]) -> dict[str, Channel]:
    """The channels of a document by their address. One without an address has its key.

    Raises:
        UnreadableDocument: if it is no AsyncAPI 3 document.
    """
    if not isinstance(document, dict) or not str(document.get("asyncapi", "")).startswith("3."):
        raise UnreadableDocument("this is no AsyncAPI 3 document")
    return _Reader(document).channels()


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def channels(self) -> dict[str, Channel]:
        found: dict[str, Channel] = {}
        names: dict[int, str] = {}
        for key in self._document.get("channels", {}):
            channel = self._read({"$ref": f"#/channels/{key.replace('~', '~0').replace('/', '~1')}"})
            kind = "Socket.IO " if "x-socketio" in channel else ""
            address = channel.get("address")
            name = f"{kind}{key if address is None else address}"
            if name in found:
                name = f"{name} ({key})"
            names[id(channel)] = name
            found[name] = Channel(self._paths(channel), {})
        for operation in self._document.get("operations", {}).values():
            operation = self._read(operation)
            channel = self._read(operation["channel"])
            self._add(found[names[id(channel)]].operations, operation, channel)
        return found

    def _add(self, found: dict[Event, Operation], operation: Any, channel: Any) -> None:
        reply = self._read(operation.get("reply", {}))
        answers = self._messages(reply, self._read(reply["channel"]) if "channel" in reply else {"messages": {}})
        replies = {name: self._arguments(message) for name, message in answers.items()}
        schemes = [self._read(one) for one in operation.get("security", ())]
        security = {
            shown({key: part for key, part in one.items() if key != "description"}): _named(one) for one in schemes
        }
        for name, message in self._messages(operation, channel).items():
            found[Event(operation["action"], name)] = Operation(self._arguments(message), replies, security)

    def _messages(self, owner: Any, channel: Any) -> dict[str, Any]:
        """The messages of an operation or a reply by name: those that it lists, else all of its channel."""
        listed = owner.get("messages", [*channel.get("messages", {}).values()])
        found = {}
        for number, one in enumerate(listed):
            message = self._read(one)
            found[message.get("name", str(number))] = message
        return found

    def _arguments(self, message: Any) -> list[Any]:
        number = message.get("x-socketio", {}).get("arguments", 1)
        if "payload" not in message or number == 0:
            return []
        payload = message["payload"]
        if "schemaFormat" in payload and "schema" in payload:
            payload = payload["schema"]
        return [payload] if number == 1 else list(payload["items"])

    def _paths(self, channel: Any) -> frozenset[str]:
        servers = channel.get("servers", [*self._document.get("servers", {}).values()])
        return frozenset(self._read(server).get("pathname", "") for server in servers)

    def _read(self, value: Any) -> Any:
        return resolved(self._document, value)


def _named(scheme: Mapping[str, Any]) -> str:
    """A security scheme in a few words."""
    words = [scheme["type"], *(str(scheme[key]) for key in ("scheme", "in", "name", "x-auth-field") if key in scheme)]
    return " ".join(words)
