"""Which payloads are decoded straight to the type of a parameter."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from asgi_realtime import Connection, Identity
from asgi_realtime.handlers.direct_handlers import direct_handler


class Fields(TypedDict):
    a: int
    b: list[str | None]


class Partial(TypedDict, total=False):
    a: int


class Flat(msgspec.Struct):
    a: float


class Defaults(msgspec.Struct):
    a: int = 1


class Nested(msgspec.Struct):
    a: Fields


class Tagged(msgspec.Struct, tag=True):
    a: int


class Positional(msgspec.Struct, array_like=True):
    a: int


@dataclasses.dataclass
class Data:
    a: bool


class Model(pydantic.BaseModel):
    a: int


def handler_of(annotation: Any) -> Any:
    """A handler of payloads of this type."""

    async def handle(payload: Any, connection: Connection) -> None:
        """Handle nothing."""

    handle.__annotations__["payload"] = annotation
    return handle


@pytest.mark.parametrize(
    ("annotation", "colons"),
    [
        (int, None),
        (str, None),
        (float | None, None),
        (Literal["a", 1], None),
        (list[int | str], None),
        (Annotated[int, msgspec.Meta(ge=0)], None),
        (Fields, 2),
        (Flat, 1),
        (Data, 1),
    ],
)
def test_scalars_lists_and_flat_objects_are_decoded_directly(annotation: Any, colons: int | None) -> None:
    direct = direct_handler("event", handler_of(annotation))
    assert direct is not None
    assert direct.colons == colons


@pytest.mark.parametrize(
    "annotation",
    [Any, bytes, datetime.date, dict[str, int], Partial, Defaults, Nested, Tagged, Positional, Model, list[Fields]],
)
def test_other_types_are_not(annotation: Any) -> None:
    assert direct_handler("event", handler_of(annotation)) is None


async def _with_default(payload: int = 1) -> None: ...
async def _two(first: int, second: int) -> None: ...
async def _rest(*payloads: int) -> None: ...
async def _identity(payload: int, identity: Identity) -> None: ...
async def _none(connection: Connection) -> None: ...
def _plain(payload: int) -> None: ...


@pytest.mark.parametrize("handler", [_with_default, _two, _rest, _identity, _none, _plain])
def test_handlers_with_other_parameters_are_not_called_directly(handler: Any) -> None:
    assert direct_handler("event", handler) is None


async def test_parameters_may_be_in_either_order() -> None:
    taken: list[tuple[Any, ...]] = []

    async def payload_first(payload: int, connection: Connection) -> None:
        taken.append((payload, connection))

    async def connection_first(connection: Connection, payload: int) -> None:
        taken.append((payload, connection))

    async def alone(payload: int) -> None:
        taken.append((payload,))

    connection: Any = object()
    for handler in (payload_first, connection_first, alone):
        direct = direct_handler("event", handler)
        assert direct is not None
        await direct.call(direct.decode(b"1"), connection)
    assert taken == [(1, connection), (1, connection), (1,)]
