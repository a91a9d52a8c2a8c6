from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.payloads.fail_fast import fail_fast
from asgi_realtime.payloads.validation import validator


class Point(BaseModel):
    type: Literal["point"] = "point"
    x: int
    tags: list[int] = []
    more: dict[str, Any] = {"type": "list", "items_schema": {"type": "list"}}


class Line(BaseModel):
    type: Literal["line"]
    points: Annotated[list[Point], Field(max_length=3)]


class Node(BaseModel):
    children: list[Node] = []
    n: int = 0


class Fields(TypedDict):
    type: int
    numbers: tuple[int, ...]


CASES: dict[str, tuple[Any, Any, Any]] = {
    "list in a model": (Point, {"x": 1, "tags": ["1"]}, {"x": 1, "tags": ["a", "b"]}),
    "models in a list": (list[Point], [{"x": 1}], [{}, {}]),
    "recursive": (Node, {"children": [{"n": 1}]}, {"children": [{"n": "a"}, {"n": "b"}]}),
    "typed dict": (Fields, {"type": 1, "numbers": [1]}, {"type": 1, "numbers": ["a", "b"]}),
    "set": (Annotated[set[int], Field(max_length=9)], [1, 2], ["a", "b"]),
    "dict of lists": (Annotated[dict[str, list[int]], Field()], {"a": [1]}, {"a": ["a", "b"]}),
    "tagged union": (
        Annotated[Point | Line, Field(discriminator="type")],
        {"type": "line", "points": [{"x": 1}]},
        {"type": "line", "points": [{}, {}]},
    ),
    "optional": (list[Point] | None, None, [{}, {}]),
}


@pytest.mark.parametrize("case", CASES)
def test_fail_fast_gives_the_same_values_and_only_the_first_error(case: str) -> None:
    annotation, good, bad = CASES[case]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    adapter.rebuild()
    quick = fail_fast(adapter)
    assert quick.validate_python(good) == adapter.validate_python(good)
    with pytest.raises(pydantic.ValidationError) as usual:
        adapter.validate_python(bad)
    with pytest.raises(pydantic.ValidationError) as ours:
        quick.validate_python(bad)
    assert usual.value.error_count() == 2
    assert ours.value.errors()[0] == usual.value.errors()[0]
    assert ours.value.error_count() == 1
    with pytest.raises(InvalidMessage, match=r" - at `\$"):
        validator(annotation)(bad)


def test_fail_fast_does_not_change_defaults_that_look_like_schemas() -> None:
    quick = fail_fast(TypeAdapter(Point))
    point = quick.validate_python({"x": 1})
    assert point == Point(x=1)
    assert isinstance(point, Point) and point.more == {"type": "list", "items_schema": {"type": "list"}}
