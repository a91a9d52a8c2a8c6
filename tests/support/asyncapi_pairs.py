"""Payload types of an old and a new version of an event, and what of the change breaks clients."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from packaging.version import Version

_NAMESAKES: Final = Version(msgspec.__version__) >= Version("0.23")
"""Whether msgspec can describe a payload with two types of one name."""
_NUMBERS: Final = itertools.count()


class Pair(NamedTuple):
    """An event's payload before and after. `path` and `change` are what breaks clients, if anything does."""

    old: Any
    new: Any
    path: str = ""
    change: str | None = None


def struct(_forbids: bool = False, /, **fields: Any) -> Any:
    """A Struct with these fields. A field is its type, or a pair of its type and its default."""
    definitions = [(name, *each) if isinstance(each, tuple) else (name, each) for name, each in fields.items()]
    return defined("Thing", definitions, _forbids)


def defined(name: str, definitions: list[tuple[str, Any] | tuple[str, Any, Any]], forbids: bool) -> Any:
    """A Struct with this name, as a type of a host keeps its name when it changes.

    msgspec before 0.23 cannot describe a payload with two types of one name. There, the name gets a number.
    """
    if not _NAMESAKES:
        name = f"{name}{next(_NUMBERS)}"
    return msgspec.defstruct(name, definitions, kw_only=True, forbid_unknown_fields=forbids)


def limited(kind: Any, **limits: Any) -> Any:
    """A type with limits."""
    return Annotated[kind, msgspec.Meta(**limits)]


class Tree(msgspec.Struct):
    """Refers to itself."""

    children: list[Tree]
    name: str


class NarrowTree(msgspec.Struct):
    """The same with a shorter name, deeper than the first level."""

    children: list[NarrowTree]
    name: Annotated[str, msgspec.Meta(max_length=3)]


class Circle(msgspec.Struct, tag="circle"):
    radius: int


class Square(msgspec.Struct, tag="square"):
    side: int


class NewSquare(msgspec.Struct, tag="square"):
    side: int
    corner: int


_WORD = Literal["x"]
_WORDS = Literal["x", "y"]

FROM_CLIENTS = [
    Pair(struct(a=int), struct(a=int)),
    Pair(struct(a=int), struct(a=int, b=str), "b", "the field is required now"),
    Pair(struct(a=int), struct(a=int, b=(str, ""))),
    Pair(struct(a=int, b=str), struct(a=int)),
    Pair(struct(a=(int, 1)), struct(a=int), "a", "the field is required now"),
    Pair(struct(a=int), struct(a=(int, 1))),
    Pair(struct(a=int), struct(a=str), "a", "the type integer is refused now"),
    Pair(struct(a=int), struct(a=float)),
    Pair(struct(a=float), struct(a=int), "a", "the type number is refused now"),
    Pair(struct(a=int | None), struct(a=int), "a", "the type null is refused now"),
    Pair(struct(a=int), struct(a=int | None)),
    Pair(struct(a=int | str), struct(a=str), "a", "the type integer is refused now"),
    Pair(struct(a=_WORDS), struct(a=_WORD), "a", 'the value "y" is refused now'),
    Pair(struct(a=_WORD), struct(a=_WORDS)),
    Pair(struct(a=_WORD), struct(a=str)),
    Pair(struct(a=_WORD), struct(a=int), "a", 'the value "x" is refused now'),
    Pair(struct(a=str), struct(a=_WORD), "a", "only some values of the type string are accepted now"),
    Pair(struct(a=Literal[3]), struct(a=limited(int, ge=3))),
    Pair(struct(a=Literal[3]), struct(a=limited(int, gt=3)), "a", "the value 3 is refused now"),
    Pair(struct(a=Literal[3]), struct(a=limited(int, lt=3)), "a", "the value 3 is refused now"),
    Pair(struct(a=Literal[3]), struct(a=limited(int, le=2)), "a", "the value 3 is refused now"),
    Pair(struct(a=_WORD), struct(a=limited(str, max_length=1))),
    Pair(struct(a=_WORD), struct(a=limited(str, min_length=2)), "a", 'the value "x" is refused now'),
    Pair(struct(a=_WORD), struct(a=limited(str, pattern="^x$"))),
    Pair(struct(a=_WORD), struct(a=limited(str, pattern="y")), "a", 'the value "x" is refused now'),
    Pair(struct(a=str), struct(a=limited(str, max_length=9)), "a", "the limit maxLength is stricter now"),
    Pair(struct(a=limited(str, max_length=9)), struct(a=str)),
    Pair(limited(str, max_length=9), limited(str, max_length=8), "", "the limit maxLength is stricter now"),
    Pair(limited(str, min_length=2), limited(str, min_length=1)),
    Pair(str, limited(str, min_length=0)),
    Pair(limited(str, pattern="^a"), limited(str, pattern="^b"), "", "the limit pattern is stricter now"),
    Pair(limited(int, ge=5), limited(int, gt=5), "", "the limit exclusiveMinimum is stricter now"),
    Pair(limited(int, gt=5), limited(int, ge=5)),
    Pair(limited(int, le=5), limited(int, lt=5), "", "the limit exclusiveMaximum is stricter now"),
    Pair(limited(int, le=4), limited(int, lt=5)),
    Pair(limited(int, multiple_of=6), limited(int, multiple_of=3)),
    Pair(limited(int, multiple_of=3), limited(int, multiple_of=6), "", "the limit multipleOf is stricter now"),
    Pair(list[int], list[str], "[]", "the type integer is refused now"),
    Pair(list[Any], list[str], "[]", "the type any value is refused now"),
    Pair(list[int], limited(list[int], max_length=3), "", "the limit maxItems is stricter now"),
    Pair(list[tuple[int, int]], list[tuple[int, str]], "[][1]", "the type integer is refused now"),
    Pair(dict[str, int], dict[str, str], "*", "the type integer is refused now"),
    Pair(dict[str, Any], dict[str, int], "*", "the type any value is refused now"),
    Pair(dict[str, int], struct(a=int), "a", "the field is required now"),
    Pair(struct(a=int), dict[str, int], "*", "the type any value is refused now"),
    Pair(struct(True, a=int), dict[str, int]),
    Pair(Any, struct(a=int), "", "the type any value is refused now"),
    Pair(struct(a=int), Any),
    Pair(struct(a=struct(b=int)), struct(a=struct(b=int, c=str)), "a.c", "the field is required now"),
    Pair(struct(a=int), struct(True, a=int), "", "fields without a name here are refused now"),
    Pair(struct(True, a=int, b=int), struct(True, a=int), "b", "the field is refused now"),
    Pair(struct(True, a=int), struct(a=int)),
    Pair(Tree, Tree),
    Pair(Tree, NarrowTree, "name", "the limit maxLength is stricter now"),
    Pair(Circle | Square, Circle, "type", 'the value "square" is refused now'),
    Pair(Circle, Circle | Square),
    Pair(Circle | Square, Circle | NewSquare, "corner", "the field is required now"),
]

FROM_THE_SERVER = [
    Pair(struct(a=int), struct(a=int, b=str)),
    Pair(struct(a=int, b=str), struct(a=int), "b", "the field is gone"),
    Pair(struct(a=(int, 1)), struct(a=int)),
    Pair(struct(a=int), struct(a=(int, 1))),
    Pair(struct(a=int), struct(a=(int | UnsetType, UNSET)), "a", "the field may be missing now"),
    Pair(struct(a=(int | UnsetType, UNSET)), struct()),
    Pair(struct(a=int), struct(a=int | None), "a", "the type null may be sent now"),
    Pair(struct(a=int | None), struct(a=int)),
    Pair(struct(a=int), struct(a=float), "a", "the type number may be sent now"),
    Pair(struct(a=_WORD), struct(a=_WORDS), "a", 'the value "y" may be sent now'),
    Pair(struct(a=_WORDS), struct(a=_WORD)),
    Pair(struct(a=_WORD), struct(a=str), "a", "all values of the type string may be sent now"),
    Pair(struct(a=_WORD), struct(a=_WORD | None), "a", "the type null may be sent now"),
    Pair(limited(str, max_length=3), str, "", "the limit maxLength is less strict now"),
    Pair(list[struct(a=int)], list[struct(b=int)], "[].a", "the field is gone"),  # type: ignore[misc]
    Pair(struct(True, a=int), struct(True, a=int, b=int), "b", "the field is sent now"),
    Pair(NarrowTree, Tree, "name", "the limit maxLength is less strict now"),
    Pair(Circle, Circle | Square, "type", 'the value "square" may be sent now'),
]
