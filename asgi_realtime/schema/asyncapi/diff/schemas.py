"""Compares two schemas: where a value that fits the first may not fit the second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from asgi_realtime.schema.asyncapi.diff.alternatives import ANY, Schema, alternatives, shown
from asgi_realtime.schema.asyncapi.diff.limits import allows, broken_limits

Reason: TypeAlias = Literal["required", "absent", "field", "other fields", "value", "values", "type", "limit"]


class Misfit(NamedTuple):
    """Why a value of the first schema may not fit the second, and where: a path such as `data.tags[].name`."""

    path: str
    reason: Reason
    subject: str
    """The field, the value or type that the second does not allow, or the keyword of the limit.

    For `values`: a type of which the second allows some values only.
    """


class SchemaPair:
    """Compares schemas of one document with schemas of another."""

    def __init__(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        self._first = first
        self._second = second
        self._comparing: set[tuple[str, str]] = set()

    def misfits(self, first: Any, second: Any, path: str = "") -> list[Misfit]:
        """Where a value that fits `first` may not fit `second`. Empty: all of its values fit.

        Fields that a schema does not name are not compared with those that the other names.
        """
        pair = shown(first), shown(second)
        if pair in self._comparing:  # a class refers to itself: what differs is reported where it was met first
            return []
        self._comparing.add(pair)
        try:
            return self._compare(first, second, path)
        finally:
            self._comparing.discard(pair)

    def _compare(self, first: Any, second: Any, path: str) -> list[Misfit]:
        targets = alternatives(self._second, second)
        return [found for one in alternatives(self._first, first) for found in self._in_any(one, targets, path)]

    def _in_any(self, one: Schema, targets: list[Schema], path: str) -> list[Misfit]:
        """Why an alternative fits into none of those of the other schema."""
        if "const" in one:
            if any(allows(target, one["const"], one["type"]) for target in targets):
                return []
            return [Misfit(path, "value", shown(one["const"]))]
        same = [target for target in targets if _type_fits(one, target)]
        found = [list(self._in_one(one, target, path)) for target in same]
        if [] in found:
            return []
        if len(found) == 1:
            return found[0]
        tags = [_tags(one, target).values() for target in same]
        tagged = [reasons for reasons, pairs in zip(found, tags, strict=True) if any(a == b for a, b in pairs)]
        if len(tagged) == 1:
            return tagged[0]
        if len(found) > 1:
            return min(found, key=len)
        return [Misfit(path, "type", _kind(one))]

    def _in_one(self, one: Schema, target: Schema, path: str) -> Iterator[Misfit]:
        for key in broken_limits(one, target):
            yield Misfit(path, "limit", key)
        if "const" in target:
            if target["const"] is not None:
                yield Misfit(path, "values", _kind(one))
            return
        if "properties" in target or "required" in target or "additionalProperties" in target:
            yield from self._fields(one, target, path)
        if "items" in target:
            yield from self._items(one, target, path)
        if "propertyNames" in target:
            yield from self.misfits(one.get("propertyNames", ANY), target["propertyNames"], _join(path, "*"))

    def _fields(self, one: Schema, target: Schema, path: str) -> Iterator[Misfit]:
        ours, theirs = one.get("properties", {}), target.get("properties", {})
        for name, (tag, other) in _tags(one, target).items():
            if tag != other:  # another class of a tagged union: its other fields differ as well
                yield Misfit(_join(path, name), "value", tag)
                return
        for name in target.get("required", ()):
            if name not in one.get("required", ()):
                yield Misfit(_join(path, name), "required" if name in ours else "absent", name)
        rest, more = target.get("additionalProperties", True), one.get("additionalProperties", True)
        for name, schema in ours.items():
            if name in theirs:
                yield from self.misfits(schema, theirs[name], _join(path, name))
            elif rest is False:
                yield Misfit(_join(path, name), "field", name)
            elif rest is not True:
                yield from self.misfits(schema, rest, _join(path, name))
        if more is not False:
            if rest is False:
                # An object without fields of its own is a dict: its keys are data.
                yield Misfit(path, "other fields", "")
            elif rest is not True:
                yield from self.misfits(more, rest, _join(path, "*"))
            if more is not True:
                for name in theirs.keys() - ours.keys():
                    yield from self.misfits(more, theirs[name], _join(path, name))

    def _items(self, one: Schema, target: Schema, path: str) -> Iterator[Misfit]:
        ours, theirs = one.get("items", ANY), target["items"]
        if not isinstance(ours, list) and not isinstance(theirs, list):
            yield from self.misfits(ours, theirs, f"{path}[]")
            return
        number = max(len(each) if isinstance(each, list) else 0 for each in (ours, theirs))
        longest = one.get("maxItems")
        for index in range(number if longest is None else min(number, longest)):
            yield from self.misfits(_item(one, ours, index), _item(target, theirs, index), f"{path}[{index}]")
        if longest is None or longest > number:
            yield from self.misfits(_item(one, ours, number), _item(target, theirs, number), f"{path}[]")


def _kind(one: Schema) -> str:
    return str(one.get("type", "any value"))


def _item(schema: Schema, items: Any, index: int) -> Any:
    """The schema of an item of an array."""
    if not isinstance(items, list):
        return items
    return items[index] if index < len(items) else schema.get("additionalItems", ANY)


def _type_fits(one: Schema, target: Schema) -> bool:
    own, other = one.get("type"), target.get("type")
    return other is None or own == other or (own, other) == ("integer", "number")


def _tags(one: Schema, target: Schema) -> dict[str, tuple[str, str]]:
    """The fields that have a single value in both objects, as the tag of a union has, with the two values."""
    ours, theirs = one.get("properties", {}), target.get("properties", {})
    found = {name: (_constant(ours[name]), _constant(theirs[name])) for name in ours.keys() & theirs.keys()}
    return {name: (first, second) for name, (first, second) in found.items() if first and second}


def _constant(schema: Any) -> str | None:
    """The only value of a schema, as JSON."""
    if not isinstance(schema, dict):
        return None
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    return shown(values[0]) if len(values) == 1 else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
