"""TypeScript types of pydantic models, and of other classes that have models in them."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from asgi_realtime import SocketIOGateway, on
from asgi_realtime.handlers.event_declarations import down
from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.typescript.files import typescript
from asgi_realtime.schema.typescript.types import type_text
from tests.support.typescript import interface, typescript_of


@dataclass
class Plain:
    at: datetime.datetime


class Money(pydantic.BaseModel):
    """What something costs.

    In cents.
    """

    cents: int = 150
    paid_at: datetime.datetime | None = pydantic.Field(alias="paidAt")
    note: Annotated[str, pydantic.Field(max_length=3, description="for people")] = ""
    tags: list[str] = pydantic.Field(default_factory=list)
    hidden: str = pydantic.Field(default="", exclude=True)

    @pydantic.field_serializer("cents", when_used="json")
    def text(self, cents: int) -> str:
        return f"{cents / 100:.2f}"

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return ""


class Text(pydantic.BaseModel):
    kind: Literal["text"]
    data: bytes


class Image(pydantic.BaseModel):
    kind: Literal["image"]
    url: pydantic.HttpUrl
    extra: Any = None


class Tree(pydantic.BaseModel):
    children: list[Tree]


Item = TypeVar("Item")


class Box(pydantic.BaseModel, Generic[Item]):
    item: Item


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    n: int


@dataclass
class DataOfModel:
    box: Tree
    at: datetime.datetime


class StructOfModel(msgspec.Struct):
    box: Tree


class DictOfModel(TypedDict):
    box: Tree
    note: NotRequired[str]


@pytest.mark.parametrize(
    ("annotation", "direction", "expected"),
    [
        (list[Tree], "down", "readonly Tree[]"),
        (Tree | None, "up", "Tree | null"),
        (dict[str, Tree], "up", "{ readonly [name: string]: Tree }"),
        (tuple[Tree, int], "down", "readonly [Tree, number]"),
        (Text | Image, "up", "Text | Image"),
        (Annotated[Text | Image, pydantic.Field(discriminator="kind")], "down", "Text | Image"),
        (list[Annotated[Text | Image, pydantic.Field(discriminator="kind")]], "up", "readonly (Text | Image)[]"),
        (pydantic.HttpUrl, "down", "string"),
        (pydantic.PositiveInt, "up", "number"),
        (ipaddress.IPv4Address, "down", "string"),
        (pydantic.RootModel[list[int]], "up", "RootModel_list_int"),
        (Box[int], "up", "Box_int"),
        (Annotated[Literal["a", "b"], pydantic.Field(description="")], "up", '"a" | "b"'),
        (Annotated[bytes, pydantic.Field(max_length=9)], "up", "ArrayBuffer | Uint8Array"),
        (pydantic.Json[list[int]], "up", "string"),
        (Annotated[decimal.Decimal, pydantic.Field(gt=0)], "up", "number | string"),
        (Annotated[decimal.Decimal, pydantic.Field(gt=0)], "down", "string"),
        (StructOfModel, "down", "StructOfModel"),
    ],
)
def test_pydantic_types_have_their_typescript_type_in_each_direction(
    annotation: Any, direction: Literal["up", "down"], expected: str
) -> None:
    assert typescript_of(annotation, direction) == expected


def test_models_become_interfaces_of_each_direction() -> None:
    up = """
/** What something costs. */
export interface Money {
  readonly cents?: number;
  /** ISO 8601. */
  readonly paidAt: string | null;
  /** For people. At most 3 characters. */
  readonly note?: string;
  readonly tags?: readonly string[];
  readonly hidden?: string;
}
"""
    down = """
/** What something costs. */
export interface Money {
  readonly cents: string;
  /** ISO 8601. */
  readonly paidAt: string | null;
  /** For people. At most 3 characters. */
  readonly note: string;
  readonly tags: readonly string[];
  readonly label: string;
}
"""
    assert interface(Money, "up") == up.strip()
    assert interface(Money, "down") == down.strip()
    assert "readonly children: readonly Tree[];" in interface(Tree, "up")
    assert "readonly [name: string]: unknown;" in interface(Open, "down")


@pytest.mark.parametrize("cls", [DataOfModel, StructOfModel, DictOfModel])
def test_classes_with_models_inside_become_interfaces(cls: Any) -> None:
    text = interface(cls, "down")
    assert f"export interface {cls.__name__} {{\n  readonly box: Tree;\n" in text
    assert "export interface Tree {\n  readonly children: readonly Tree[];\n}" in text
    assert ("readonly note?: string;" in text) == (cls is DictOfModel)


def test_a_class_used_in_both_directions_is_one_interface() -> None:
    types = PayloadTypes()
    assert type_text(types.type_of(Plain, "down")) == "Plain"
    assert type_text(types.type_of(list[Plain] | Tree, "down")) == "readonly Plain[] | Tree"
    assert [definition.name for definition in types.definitions()] == ["Plain", "Tree"]


class ModelGateway(SocketIOGateway):
    events = (down("paid", Money, to="all"), down("grown", list[Tree], to="all"))

    @on("pay")
    async def pay(self, payer: Annotated[str, pydantic.Field(max_length=3)], what: Text | Image) -> Tree:
        return Tree(children=[])

    @on("say")
    async def say(self, text: str = pydantic.Field(max_length=3)) -> None: ...


def test_a_gateway_of_models_has_their_interfaces() -> None:
    text = typescript(ModelGateway)
    assert "  paid: (payload: Money) => void;\n" in text
    assert "  grown: (payload: readonly Tree[]) => void;\n" in text
    assert "(argument1: string, argument2: Text | Image, acknowledge: (answer: Tree | Failure) => void) => void" in text
    assert "  say: (payload: string) => void;\n" in text


def test_a_msgspec_class_with_a_model_inside_is_refused_for_clients() -> None:
    with pytest.raises(TypeError, match="both for the same library"):
        PayloadTypes().type_of(StructOfModel, "up")


class Nested(pydantic.RootModel[dict[str, "Nested"] | list["Nested"] | int]):
    pass


def test_an_alias_may_refer_to_itself() -> None:
    # TypeScript refuses an alias that is an argument of a type such as `Record` in itself.
    expected = "export type Nested = { readonly [name: string]: Nested } | readonly Nested[] | number;"
    assert interface(Nested, "down") == expected
