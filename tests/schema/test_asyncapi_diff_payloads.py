"""Random payload types: if the new type refuses a payload of the old one, `differences` reports that clients break."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from asgi_realtime import InvalidMessage, SocketIOGateway, down, up
from asgi_realtime.handlers.event_declarations import EventDeclaration
from asgi_realtime.payloads.validation import validator
from asgi_realtime.schema.asyncapi.diff.differences import differences
from asgi_realtime.schema.asyncapi.document import asyncapi
from tests.support.asyncapi_pairs import defined


class Shape(NamedTuple):
    """A payload type, and a strategy for its payloads."""

    annotation: Any
    payloads: st.SearchStrategy[Any]
    inside: tuple[Any, ...] = ()
    """What it is made of, so that another version of it can be made: a function and its arguments."""


def integer(least: int, most: int) -> Shape:
    return Shape(Annotated[int, msgspec.Meta(ge=least, le=most)], st.integers(least, most), (integer, least, most))


def text(longest: int) -> Shape:
    return Shape(Annotated[str, msgspec.Meta(max_length=longest)], st.text(max_size=longest), (text, longest))


def words(*values: str) -> Shape:
    return Shape(Literal[values], st.sampled_from(values), (words, *values))


def listed(item: Shape) -> Shape:
    return Shape(list[item.annotation], st.lists(item.payloads, max_size=3), (listed, item))  # type: ignore[name-defined]


def mapped(item: Shape) -> Shape:
    payloads = st.dictionaries(st.text(max_size=3), item.payloads, max_size=3)
    return Shape(dict[str, item.annotation], payloads, (mapped, item))  # type: ignore[name-defined]


def nullable(item: Shape) -> Shape:
    return Shape(item.annotation | None, st.none() | item.payloads, (nullable, item))


def record(closed: bool, **fields: tuple[Shape, bool]) -> Shape:
    """A Struct. Each field has its shape, and whether it is always there."""
    definitions = [
        (name, shape.annotation) if always else (name, shape.annotation | UnsetType, UNSET)
        for name, (shape, always) in fields.items()
    ]
    kind = defined("Record", definitions, closed)
    always = {name: shape.payloads for name, (shape, there) in fields.items() if there}
    others = {name: shape.payloads for name, (shape, there) in fields.items() if not there}
    return Shape(kind, st.fixed_dictionaries(always, optional=others), (record, closed, fields))


PLAIN = (
    st.sampled_from([Shape(int, st.integers(-9, 9)), Shape(str, st.text(max_size=5)), Shape(bool, st.booleans())])
    | st.builds(integer, st.integers(-3, 0), st.integers(0, 3))
    | st.builds(text, st.integers(0, 3))
    | st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(lambda values: words(*values))
    | st.just(Shape(float, st.floats(allow_nan=False, allow_infinity=False)))
)
"""Shapes without others in them."""


def _records(shapes: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    fields = st.dictionaries(st.sampled_from("abcd"), st.tuples(shapes, st.booleans()), max_size=3)
    return st.builds(lambda closed, found: record(closed, **found), st.booleans(), fields)


SHAPES = st.recursive(
    PLAIN,
    lambda inner: _records(inner) | st.builds(listed, inner) | st.builds(mapped, inner) | st.builds(nullable, inner),
    max_leaves=5,
)


@st.composite
def versions(draw: st.DrawFn, shape: Shape) -> Shape:
    """Another version of a shape: often the same, or with one part changed."""
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return draw(SHAPES)
    if choice == 1 or not shape.inside:
        return shape
    make, *parts = shape.inside
    found: Shape
    if make is record:
        closed, fields = parts
        found = record(draw(st.sampled_from([closed, closed, not closed])), **draw(_other_fields(fields)))
    elif make is words:
        found = words(*draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)))
    elif make is integer:
        found = integer(draw(st.integers(-3, 0)), draw(st.integers(0, 3)))
    elif make is text:
        found = text(draw(st.integers(0, 3)))
    else:
        inner = draw(versions(parts[0]))
        found = inner if draw(st.integers(0, 5)) == 0 else make(inner)
    return found


@st.composite
def _other_fields(draw: st.DrawFn, fields: Mapping[str, tuple[Shape, bool]]) -> dict[str, tuple[Shape, bool]]:
    found = dict(fields)
    name = draw(st.sampled_from("abcd"))
    if name not in found:
        found[name] = draw(st.tuples(SHAPES, st.booleans()))
    elif draw(st.booleans()):
        del found[name]
    else:
        shape, always = found[name]
        found[name] = draw(versions(shape)), draw(st.booleans())
    return found


PAIRS = SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), versions(shape)))
Declare: TypeAlias = Callable[[Any], EventDeclaration]


def breaks(declare: Declare, old: Any, new: Any) -> bool:
    before, after = (asyncapi([type("Board", (SocketIOGateway,), {"events": (declare(kind),)})]) for kind in (old, new))
    return any(difference.breaking for difference in differences(before, after))


def is_accepted(annotation: Any, payload: Any) -> bool:
    try:
        validator(annotation)(payload)
    except InvalidMessage:
        return False
    return True


@given(PAIRS, st.data())
@settings(max_examples=300)
def test_a_payload_of_clients_that_is_refused_from_now_on_is_reported(
    pair: tuple[Shape, Shape], data: st.DataObject
) -> None:
    old, new = pair
    payload = data.draw(old.payloads)
    assert is_accepted(old.annotation, payload)
    refused = not is_accepted(new.annotation, payload)
    event(f"refused: {refused}")
    if refused:
        assert breaks(lambda kind: up("draw", kind, effect=""), old.annotation, new.annotation)


@given(PAIRS, st.data())
@settings(max_examples=300)
def test_a_payload_of_the_server_that_old_clients_do_not_know_is_reported(
    pair: tuple[Shape, Shape], data: st.DataObject
) -> None:
    old, new = pair
    payload = data.draw(new.payloads)
    unknown = not is_accepted(old.annotation, payload)
    event(f"unknown: {unknown}")
    if unknown:
        assert breaks(lambda kind: down("drawn", kind, to=""), old.annotation, new.annotation)


@given(SHAPES)
@settings(max_examples=100)
def test_nothing_is_reported_of_an_event_that_stays_as_it_is(shape: Shape) -> None:
    assert not breaks(lambda kind: up("draw", kind, effect=""), shape.annotation, shape.annotation)
    assert not breaks(lambda kind: down("drawn", kind, to=""), shape.annotation, shape.annotation)
