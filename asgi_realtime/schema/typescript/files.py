"""One TypeScript file for each gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.schema.gateway_kinds import AnyGateway, Direction, arguments_of, gateway_name, kind_of
from asgi_realtime.schema.sentences import target_sentence
from asgi_realtime.schema.typescript.comments import comment
from asgi_realtime.schema.typescript.interfaces import Interfaces
from asgi_realtime.schema.typescript.names import literal, property_name

_FIRST = "// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there."
_GENERIC = "<Host extends HostTypes = HostTypes>"


def file_name(gateway: AnyGateway) -> str:
    """Return `board.ts` for a `BoardGateway`. See `gateway_name`."""
    return f"{gateway_name(gateway)}.ts"


def typescript(gateway: AnyGateway) -> str:
    """Return the file of a gateway: for Socket.IO the two interfaces of socket.io-client, for JSON the frames.

    Raises:
        TypeError: for a payload type that has no form in TypeScript.
        ValueError: for payload types that cannot be in one file.
    """
    kind = kind_of(gateway)
    events = declarations(gateway)
    interfaces = Interfaces()
    frames = issubclass(kind, WebSocketGateway)
    body: list[str] = []
    for direction, of_frames, of_events in _DIRECTIONS:
        known = set(interfaces.host_types)
        interfaces.host_types.clear()
        chosen = [event for event in events if event.direction == direction]
        lines = _frames(chosen, interfaces) if frames else _events(chosen, interfaces, kind.failure)
        generic = _GENERIC if interfaces.host_types else ""
        interfaces.host_types |= known
        name, text = of_frames if frames else of_events
        head = f"export type {name}{generic} =" if frames else f"export interface {name}{generic} {{"
        if frames and direction == "down" and kind.recovery:
            text += " `offset` is the position of a frame, for recovery."
            head += " { readonly offset?: string } & ("
            lines = [*lines[:-1], lines[-1].removesuffix(";"), ");"]
        body += ["", *comment(text), head, *lines]
    return "\n".join([_FIRST, "", *_host_types(interfaces.host_types), *interfaces.lines(), *body[1:], ""])


_DIRECTIONS: tuple[tuple[Direction, tuple[str, str], tuple[str, str]], ...] = (
    ("down", ("ServerFrame", "What the server sends."), ("ServerToClientEvents", "What the server sends.")),
    ("up", ("ClientFrame", "What a client sends."), ("ClientToServerEvents", "What a client sends.")),
)


def _host_types(names: set[str]) -> list[str]:
    if not names:
        return []
    what = "Objects of the application. Extend this interface with their types."
    return [*comment(what), "export interface HostTypes {", *(f"  {name}: unknown;" for name in sorted(names)), "}", ""]


def _events(events: Sequence[EventDeclaration], interfaces: Interfaces, failure: Any) -> list[str]:
    lines = []
    for event in events:
        arguments = arguments_of(event.payload)
        names = ["payload"] if len(arguments) == 1 else [f"argument{number}" for number in range(1, len(arguments) + 1)]
        taken = [
            f"{name}: {interfaces.type_of(annotation, event.direction)}"
            for name, annotation in zip(names, arguments, strict=True)
        ]
        if event.acknowledgement is not None:
            # Required, because socket.io-client's emitWithAck finds the answer's type in it.
            answers = [interfaces.type_of(answer, "down") for answer in (event.acknowledgement, failure)]
            taken.append(f"acknowledge: (answer: {' | '.join(dict.fromkeys(answers))}) => void")
        lines += comment(target_sentence(event), indent="  ")
        lines.append(f"  {property_name(event.name)}: ({', '.join(taken)}) => void;")
    return [*lines, "}"]


def _frames(events: Sequence[EventDeclaration], interfaces: Interfaces) -> list[str]:
    lines = []
    for event in events:
        kind = f"readonly type: {literal(event.name)}"
        lines += comment(target_sentence(event), indent="  ")
        if event.payload is None:
            lines.append(f"  | {{ {kind} }}")
        elif event.flat:
            lines.append(f"  | ({{ {kind} }} & {interfaces.type_of(event.payload, event.direction)})")
        else:
            lines.append(f"  | {{ {kind}; readonly data: {interfaces.type_of(event.payload, event.direction)} }}")
    lines = lines or ["  never"]
    return [*lines[:-1], f"{lines[-1]};"]
