"""A gateway of a document as HTML: how to connect, its events in both directions, and its close codes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from asgi_realtime.schema.asyncapi.page.markup import Child, Html, anchor, code, element, inline, prose, together
from asgi_realtime.schema.asyncapi.page.schemas import Schemas

DIRECTIONS: Final = (("receive", "Clients send"), ("send", "The server sends"))
"""The actions of operations, and their headings for readers who write a client."""


class Channels:
    """Shows the channels of a document, which is one that `asyncapi` has made."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas = Schemas(document.get("components", {}).get("schemas", {}))
        self._operations: dict[str, list[Mapping[str, Any]]] = {key: [] for key in document["channels"]}
        """Those of each channel, with the id that they have on the page."""
        for name, operation in document["operations"].items():
            self._operations[_last(operation["channel"])].append({**operation, "id": anchor("event", name)})

    def contents(self) -> Html:
        """Links to all channels and events."""
        return together(*map(self._links, self._document["channels"]))

    def sections(self) -> Html:
        """All channels."""
        return together(*map(self._section, self._document["channels"]))

    def schemas(self) -> Child:
        """All schemas that have a name. None: there are none."""
        names = self._document.get("components", {}).get("schemas", {})
        if not names:
            return None
        heading = element("h2", "Schemas", id="schemas")
        return element("section", heading, *map(self._schemas.section, names), aria_labelledby="schemas")

    def _links(self, key: str) -> Html:
        rows = [
            element("li", element("a", operation["title"], href=f"#{operation['id']}"), data_name=_searched(operation))
            for action, _ in DIRECTIONS
            for operation in self._of(key, action)
        ]
        heading = element("a", self._name(key), href=f"#{anchor('channel', key)}")
        return element("li", heading, element("ul", *rows), class_="channel")

    def _of(self, key: str, action: str) -> list[Mapping[str, Any]]:
        return [operation for operation in self._operations[key] if operation["action"] == action]

    def _name(self, key: str) -> str:
        channel = self._document["channels"][key]
        return str(channel["address"] or channel.get("title", key))

    def _section(self, key: str) -> Html:
        channel = self._document["channels"][key]
        id = anchor("channel", key)
        return element(
            "section",
            element("h2", self._name(key), " ", element("small", channel.get("title", key)), id=id),
            prose(channel.get("description", "")),
            element("dl", *self._connecting(key, channel), class_="connecting"),
            *(self._direction(key, action, heading) for action, heading in DIRECTIONS),
            _close_codes(channel.get("x-close-codes", {})),
            aria_labelledby=id,
            class_="channel",
        )

    # How to connect

    def _connecting(self, key: str, channel: Mapping[str, Any]) -> Iterable[Child]:
        for reference in channel.get("servers", ()):
            server = self._document["servers"][_last(reference)]
            yield element("dt", "Server")
            address = f"{server['protocol']}://{server['host']}{server.get('pathname', '')}"
            if "x-socketio" in server:
                namespace = together(", namespace ", code(str(channel["address"])))
                yield element("dd", server.get("title", ""), ": ", code(address), namespace)
            else:
                yield element("dd", server.get("title", ""), ": ", code(address + str(channel["address"] or "")))
        schemes = {_last(each): None for operation in self._operations[key] for each in operation.get("security", ())}
        found = self._document.get("components", {}).get("securitySchemes", {})
        if schemes:
            yield element("dt", "Token")
            yield element("dd", element("ul", *(element("li", _place(found[name])) for name in schemes)))

    # Events

    def _direction(self, key: str, action: str, heading: str) -> Child:
        operations = self._of(key, action)
        if not operations:
            return None
        return element("div", element("h3", heading), *map(self._event, operations), class_="direction")

    def _event(self, operation: Mapping[str, Any]) -> Html:
        message = self._message(operation["messages"][0])
        summary = operation.get("summary", "")
        return element(
            "details",
            element(
                "summary",
                element("h4", code(operation["title"])),
                element("span", inline(summary), class_="summary") if summary else None,
            ),
            self._payload(message),
            self._reply(operation.get("reply")),
            id=operation["id"],
            class_="event",
            data_name=_searched(operation),
        )

    def _message(self, reference: Mapping[str, Any]) -> Mapping[str, Any]:
        _, _, channel, _, name = reference["$ref"].split("/")
        message: Mapping[str, Any] = self._document["channels"][channel]["messages"][name]
        return message

    def _payload(self, message: Mapping[str, Any]) -> Html:
        if "payload" not in message:
            return element("p", "No payload.", class_="type")
        shown = [
            element("pre", code(json.dumps(example["payload"], ensure_ascii=False, indent=2)), tabindex="0")
            for example in message.get("examples", ())
        ]
        heading = element("h5", "Example" if len(shown) == 1 else "Examples") if shown else None
        return together(self._schemas.payload(message["payload"]), heading, *shown)

    def _reply(self, reply: Mapping[str, Any] | None) -> Child:
        if reply is None:
            return None
        found = []
        for reference in reply["messages"]:
            message = self._message(reference)
            found.append(element("li", element("h5", message["name"]), self._payload(message)))
        return element("div", element("h5", "Answered with one of"), element("ul", *found), class_="reply")


def _last(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _searched(operation: Mapping[str, Any]) -> str:
    """What a search finds an event by."""
    return f"{operation['title']} {operation.get('summary', '')}".lower()


def _place(scheme: Mapping[str, Any]) -> Html:
    """Where a token is put."""
    match scheme["type"]:
        case "http":
            return together("the header ", code("Authorization: Bearer …"))
        case "httpApiKey":
            place = {"query": "query parameter"}.get(scheme["in"], scheme["in"])
            return together(f"the {place} ", code(scheme["name"]))
        case _:
            return inline(scheme.get("description", ""))


def _close_codes(codes: Mapping[str, str]) -> Child:
    if not codes:
        return None
    head = element("tr", element("th", "Code", scope="col"), element("th", "Means", scope="col"))
    rows = [
        element("tr", element("th", code(number), scope="row"), element("td", text)) for number, text in codes.items()
    ]
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", element("h3", "Close codes"), table, class_="direction")
