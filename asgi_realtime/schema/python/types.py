"""Writes types in Python, as JSON has them. Every definition becomes a TypedDict or a type alias of its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asgi_realtime.schema.description.types import (
    Array,
    Choice,
    Definition,
    Field,
    Fields,
    FixedArray,
    HostType,
    Intersection,
    Plain,
    Record,
    Reference,
    Type,
    Values,
)
from asgi_realtime.schema.python.docstrings import comment, docstring
from asgi_realtime.schema.python.names import is_field_name, literal

_PLAIN = {
    "any": "Any",
    "null": "None",
    "absent": "None",
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "bytes": "bytes",
}
_OPEN = "Further fields are allowed."


class PythonTypes:
    """Writes the types of one module. `used` are the names of `typing` that they need."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def text(self, kind: Type) -> str:
        """A type in an annotation."""
        match kind:
            case Plain():
                return self._name(_PLAIN[kind.kind])
            case Values() | Choice():
                return self._union(kind)
            case Intersection(types=(one,)):
                return self.text(one)
            case Array():
                return f"list[{self.text(kind.item)}]"
            case FixedArray():  # what `json` reads is a list, of any length for a type checker
                return f"list[{self._union(*kind.items) or self._name('Any')}]"
            case Record():
                return f"dict[str, {self.text(kind.value)}]"
            case Fields():
                return f"dict[str, {self._name('Any')}]"
            case Reference() | HostType():
                return kind.name
            case Intersection():
                return self._name("Any")

    def definition(self, definition: Definition) -> list[str]:
        """The lines of a definition."""
        name, kind = definition.name, definition.type
        if not isinstance(kind, Fields):
            alias = f"{name}: {self._name('TypeAlias')} = {self.text(kind)!r}"
            return [*comment(definition.description), alias]
        about = f"{definition.description} {_OPEN if kind.open else ''}".strip()
        if not all(is_field_name(field.name) for field in kind.fields):
            return [*comment(about), *self._call(name, kind)]
        head = docstring(about, "    ")
        lines = [f"class {name}({self._name('TypedDict')}):", *head, *([""] if head and kind.fields else [])]
        for field in kind.fields:
            lines += [*comment(" ".join(field.notes), "    "), f"    {field.name}: {self._required(field)}"]
        return lines if len(lines) > 1 else [*lines, "    pass"]

    def _call(self, name: str, kind: Fields) -> list[str]:
        """A TypedDict with fields that a class cannot declare."""
        lines = [f"{name} = {self._name('TypedDict')}(", f"    {literal(name)},", "    {"]
        for field in kind.fields:
            quoted = repr(self.text(field.type))
            value = quoted if field.required else f"{self._name('NotRequired')}[{quoted}]"
            lines += [*comment(" ".join(field.notes), " " * 8), f"        {literal(field.name)}: {value},"]
        return [*lines, "    },", ")"]

    def _required(self, field: Field) -> str:
        text = self.text(field.type)
        return text if field.required else f"{self._name('NotRequired')}[{text}]"

    def _union(self, *kinds: Type) -> str:
        """One of some types, with all values in one `Literal`."""
        texts = dict.fromkeys(self._alternatives(kinds))
        values = [text for text, is_value in texts if is_value]
        united = f"{self._name('Literal')}[{', '.join(values)}]" if values else ""
        return " | ".join(dict.fromkeys(united if is_value else text for text, is_value in texts))

    def _alternatives(self, kinds: Iterable[Type]) -> Iterator[tuple[str, bool]]:
        """The texts of alternatives, and whether each is a value that a `Literal` may have."""
        for kind in kinds:
            if isinstance(kind, Choice):
                yield from self._alternatives(kind.types)
            elif isinstance(kind, Values):
                for value in kind.values:
                    plain = "None" if value is None else "float" if isinstance(value, float) else None
                    if isinstance(value, list | dict):  # a constant of pydantic, which a `Literal` cannot have
                        plain = self._name("Any")
                    yield (plain, False) if plain else (literal(value), True)
            else:
                yield self.text(kind), False

    def _name(self, name: str) -> str:
        if name in ("Any", "Literal", "NotRequired", "TypeAlias", "TypedDict"):
            self.used.add(name)
        return name
