"""One Python module for each gateway: a typed client, the events that it receives, and their payloads."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence

from asgi_realtime.schema.description.gateways import Event, GatewayDescription, describe, host_types
from asgi_realtime.schema.description.types import (
    Choice,
    Definition,
    Field,
    Fields,
    FixedArray,
    Plain,
    Reference,
    Type,
    Values,
)
from asgi_realtime.schema.gateway_kinds import AnyGateway, address_of, gateway_name, has_own_class, kind_of, places_of
from asgi_realtime.schema.payload_classes import first_paragraph
from asgi_realtime.schema.python.docstrings import WIDTH, comment, docstring
from asgi_realtime.schema.python.names import check_type_name, event_class, literal, method_name
from asgi_realtime.schema.python.types import PythonTypes

_REFUSAL = Field("success", Values((False,)))


def file_name(gateway: AnyGateway) -> str:
    """Return `white_board.py` for a `WhiteBoardGateway`. See `gateway_name`.

    A name that cannot be imported, such as that of a gateway at `/global`, begins with `gateway_`.
    """
    name = gateway_name(gateway).replace("-", "_")
    return f"{name}.py" if name.isidentifier() and not keyword.iskeyword(name) else f"gateway_{name}.py"


def python_client(gateway: AnyGateway, imported: Mapping[str, str] | None = None) -> str:
    """Return the module of a gateway.

    Args:
        gateway: the gateway, or its class.
        imported: for types of the application, by the name in the declarations, where they are: `module:name`.

    Raises:
        TypeError: for a payload type that has no form in JSON that clients could know.
        ValueError: for payload types that cannot be in one module, or an imported type that the gateway does not name.
    """
    return _Module(gateway, describe(gateway), imported or {}).text()


class _Module:
    def __init__(self, gateway: AnyGateway, found: GatewayDescription, imported: Mapping[str, str]) -> None:
        self._gateway, self._found, self._imported = gateway, found, imported
        self._types = PythonTypes()
        self._of_the_host = host_types(*found.down, *found.up)
        self._types_named = [*(definition.name for definition in found.definitions), *self._of_the_host]
        name = "".join(word.capitalize() for word in gateway_name(gateway).split("-"))
        self._base = "WebSocketClient" if found.frames else "SocketIOClient"
        self._client = f"{name}Client" if name.isidentifier() else f"Gateway{name}Client"
        if self._client == self._base:  # of a gateway at `/web-socket`
            self._client = f"Gateway{self._client}"

    def text(self) -> str:
        """The whole module."""
        unknown = set(self._imported) - set(self._of_the_host)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: the gateway names no such type of the application")
        for name in self._types_named:
            check_type_name(name, self._client)
            if self._types_named.count(name) > 1:
                raise ValueError(f"a payload type and a type of the application are named {name}: rename one")
        taken = {self._client, *self._types_named}
        classes = [event_class(event.name, taken) for event in self._found.down]
        blocks = [self._host_types()] if self._host_types() else []
        blocks += map(self._types.definition, self._found.definitions)
        blocks += [self._event(name, event) for name, event in zip(classes, self._found.down, strict=True)]
        blocks += [self._union(classes), [*self._class(classes), *self._methods()]]
        body = "\n\n\n".join("\n".join(block) for block in blocks)
        return "\n".join([*self._head(), "", "", body, ""])

    def _head(self) -> list[str]:
        about = f"Typed client of `{self._name()}`."
        lines = ["# fmt: off", "# ruff: noqa", f'"""{about}', ""]
        lines += ["Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.", '"""']
        lines += ["", "from __future__ import annotations", ""]
        if self._types.used:
            lines += [f"from typing import {', '.join(sorted(self._types.used))}", ""]
        events = "Event, " if self._found.down else ""
        lines.append(f"from asgi_realtime.client import {events}{self._base}")
        places = [(place.partition(":")[0], place.partition(":")[2], name) for name, place in self._imported.items()]
        if places:
            lines.append("")
        for module, attribute, name in sorted(places):
            lines.append(f"from {module} import {attribute}{'' if attribute == name else f' as {name}'}")
        return lines

    def _name(self) -> str:
        return kind_of(self._gateway).__name__ if has_own_class(self._gateway) else gateway_name(self._gateway)

    def _host_types(self) -> list[str]:
        names = [one for one in self._of_the_host if one not in self._imported]
        if not names:
            return []
        self._types.used |= {"Any", "TypeAlias"}
        about = "Objects of the application. `--host-type` imports their types."
        return [*comment(about), *(f"{name}: TypeAlias = Any" for name in names)]

    def _event(self, name: str, event: Event) -> list[str]:
        data = [self._types.text(one) for one in event.arguments]
        kind = "None" if not data else data[0] if len(data) == 1 else f"tuple[{', '.join(data)}]"
        if "|" in kind:
            kind = repr(kind)  # a base is evaluated at import, and an alias is text there
        about = docstring(event.about, "    ")
        lines = [f"class {name}(Event[{kind}]):", *about, *([""] if about else []), f"    name = {literal(event.name)}"]
        if event.flat:
            lines.append("    flat = True")
        return [*lines, f"    arguments = {len(data)}"] if len(data) > 1 else lines

    def _union(self, classes: Sequence[str]) -> list[str]:
        self._types.used |= {"TypeAlias"} | (set() if classes else {"Never"})
        line = f"ServerEvent: TypeAlias = {' | '.join(classes) or 'Never'}"
        if len(line) <= WIDTH:
            return [line]
        return ["ServerEvent: TypeAlias = (", f"    {classes[0]}", *(f"    | {name}" for name in classes[1:]), ")"]

    def _class(self, classes: Sequence[str]) -> list[str]:
        about = first_paragraph(kind_of(self._gateway)) if has_own_class(self._gateway) else ""
        lines = [f"class {self._client}({self._base}[ServerEvent]):"]
        lines += [*docstring(f"A client of `{self._name()}`. {about}", "    "), ""]
        lines += [f"    {name} = {value}" for name, value in self._attributes()]
        return [*lines, "    events = (", *(f"        {name}," for name in classes), "    )"]

    def _attributes(self) -> Iterator[tuple[str, str]]:
        frames, address = self._found.frames, address_of(self._gateway)
        if not frames:
            yield "namespace", literal(address or "/")
        elif address is not None:
            yield "path", literal(address)
        names = {place.place: place.name for place in reversed(places_of(self._gateway) or ())}
        order = ("auth", "bearer", "query") if frames else ("auth", "bearer")
        place = next((one for one in order if one in names), None)
        if frames or place == "bearer":  # on Socket.IO it is `auth` unless the gateway says another one
            yield "token_place", literal(place)
        if place in ("auth", "query") and names[place] != "token":
            yield "token_name", literal(names[place])
        if not frames:
            return
        if place == "auth" and any(event.name == "auth" and event.flat for event in self._found.up):
            yield "flat_auth", "True"
        yield "accepted", literal(next((event.name for event in self._found.down if self._offers(event)), None))

    def _offers(self, event: Event) -> bool:
        """Whether an event offers recovery, as the first frame does."""
        fields = [field for one in event.arguments for field in self._fields(one)]
        return any(field.name == "recovery" and _mentions(field.type, "RecoveryOffer") for field in fields)

    def _fields(self, kind: Type | None) -> Sequence[Field]:
        definitions: Mapping[str, Definition] = {each.name: each for each in self._found.definitions}
        found = definitions[kind.name].type if isinstance(kind, Reference) else kind
        return found.fields if isinstance(found, Fields) else ()

    def _methods(self) -> Iterator[str]:
        taken = set(self._types_named)
        for event in self._found.up:
            yield ""
            yield from self._method(method_name(event.name, taken), event)

    def _method(self, name: str, event: Event) -> Iterator[str]:
        count = len(event.arguments)
        names = ["payload"] if count == 1 else [f"argument{number}" for number in range(1, count + 1)]
        typed = [f"{one}: {self._types.text(kind)}" for one, kind in zip(names, event.arguments, strict=True)]
        sent = ", ".join([literal(event.name), *names])
        if event.acknowledgement is None:
            yield f"    async def {name}({', '.join(['self', *typed])}) -> None:"
            yield from docstring(event.about, " " * 8)
            yield f"        await self.{'_send_flat' if event.flat and names else '_send'}({sent})"
            return
        answer = self._answer(event)
        yield f"    async def {name}({', '.join(['self', *typed, '*', 'timeout: float = 10.0'])}) -> {answer}:"
        yield from docstring(event.about, " " * 8)
        yield f"        answer: {answer} = await self._call({sent}, timeout=timeout)"
        yield "        return answer"

    def _answer(self, event: Event) -> str:
        """The type of the answer. A failure is raised if it can be told from success."""
        values = event.acknowledgement or ()
        answer = values[0] if len(values) == 1 else FixedArray(values) if values else Plain("null")
        if event.failure is None or _REFUSAL in self._fields(event.failure):
            return self._types.text(answer)
        return self._types.text(Choice((answer, event.failure)))


def _mentions(kind: Type, name: str) -> bool:
    if isinstance(kind, Choice):
        return any(_mentions(one, name) for one in kind.types)
    return isinstance(kind, Reference) and kind.name == name
