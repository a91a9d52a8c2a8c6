"""The types inside a type, as msgspec describes them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import inspect as kinds


def inner_types(kind: kinds.Type) -> Iterator[kinds.Type]:
    """The types that a type is made of: of its items, keys, values, alternatives and fields. Not those inside them."""
    inside = [getattr(kind, name, None) for name in ("type", "item_type", "key_type", "value_type")]
    inside += [*getattr(kind, "item_types", ()), *getattr(kind, "types", ())]
    inside += [field.type for field in getattr(kind, "fields", ())]
    return (one for one in inside if isinstance(one, kinds.Type))
