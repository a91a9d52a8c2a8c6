"""One TypeScript file for each gateway."""

from __future__ import annotations

from collections.abc import Sequence

from asgi_realtime.schema.description.gateways import Event, describe, host_types
from asgi_realtime.schema.description.types import Choice, Type
from asgi_realtime.schema.gateway_kinds import AnyGateway, gateway_name, kind_of
from asgi_realtime.schema.typescript.comments import comment
from asgi_realtime.schema.typescript.names import check_interface_name, literal, property_name
from asgi_realtime.schema.typescript.types import definition_lines, part_text, type_text

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
    found = describe(gateway)
    lines = [_FIRST, "", *_host_types(host_types(*found.down, *found.up))]
    for definition in found.definitions:
        check_interface_name(definition.name)
        lines += [*definition_lines(definition), ""]
    if found.frames:
        recovers = kind_of(gateway).recovery
        about = " `offset` is the position of a frame, for recovery." if recovers else ""
        lines += _frames("ServerFrame", f"What the server sends.{about}", found.down, offset=recovers)
        lines += ["", *_frames("ClientFrame", "What a client sends.", found.up, offset=False)]
    else:
        lines += _events("ServerToClientEvents", "What the server sends.", found.down)
        lines += ["", *_events("ClientToServerEvents", "What a client sends.", found.up)]
    return "\n".join([*lines, ""])


def _host_types(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    what = "Objects of the application. Extend this interface with their types."
    return [*comment(what), "export interface HostTypes {", *(f"  {name}: unknown;" for name in names), "}", ""]


def _events(interface: str, about: str, events: Sequence[Event]) -> list[str]:
    lines = [*comment(about), f"export interface {interface}{_generic(events)} {{"]
    for event in events:
        count = len(event.arguments)
        names = ["payload"] if count == 1 else [f"argument{number}" for number in range(1, count + 1)]
        taken = [f"{name}: {type_text(kind)}" for name, kind in zip(names, event.arguments, strict=True)]
        if event.acknowledgement is not None and event.failure is not None:
            # Required, because socket.io-client's emitWithAck finds the answer's type in it.
            taken.append(f"acknowledge: ({_answers(event.acknowledgement, event.failure)}) => void")
        lines += comment(event.about, indent="  ")
        lines.append(f"  {property_name(event.name)}: ({', '.join(taken)}) => void;")
    return [*lines, "}"]


def _answers(values: Sequence[Type], failure: Type) -> str:
    """The parameters of the function that gets an acknowledgement. A failure is one value."""
    if not values:
        return f"answer?: {type_text(failure)}"
    first = type_text(Choice((values[0], failure)))
    others = [f"answer{number}?: {type_text(kind)}" for number, kind in enumerate(values[1:], 2)]
    return ", ".join([f"answer: {first}", *others])


def _frames(name: str, about: str, events: Sequence[Event], *, offset: bool) -> list[str]:
    head = f"export type {name}{_generic(events)} ="
    lines = [*comment(about), f"{head} {{ readonly offset?: string }} & (" if offset else head]
    for event in events:
        kind = f"readonly type: {literal(event.name)}"
        lines += comment(event.about, indent="  ")
        if not event.arguments:
            lines.append(f"  | {{ {kind} }}")
        elif event.flat:
            lines.append(f"  | ({{ {kind} }} & {part_text(event.arguments[0])})")
        else:
            lines.append(f"  | {{ {kind}; readonly data: {type_text(event.arguments[0])} }}")
    lines += [] if events else ["  never"]
    return [*lines, ");"] if offset else [*lines[:-1], f"{lines[-1]};"]


def _generic(events: Sequence[Event]) -> str:
    return _GENERIC if host_types(*events) else ""
