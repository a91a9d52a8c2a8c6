"""Gateways of a host, with payloads of every library, and their AsyncAPI document."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
from msgspec import UNSET, UnsetType

from asgi_realtime import Connection, SocketIOGateway, WebSocketGateway, down, on, up
from asgi_realtime.schema.asyncapi.document import asyncapi


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Stroke(msgspec.Struct, frozen=True, rename="camel"):
    """A line that a user drew."""

    board_id: Annotated[str, msgspec.Meta(max_length=10, examples=["b1"])]
    colour: Colour
    points: tuple[float, float] = (0.0, 0.0)
    note: str | UnsetType = UNSET
    under: Stroke | None = None


class Page(msgspec.Struct):
    stroke: Stroke


class Fixed(msgspec.Struct, forbid_unknown_fields=True):
    n: int


class Text(msgspec.Struct, tag_field="kind", tag="text"):
    text: str


class Image(msgspec.Struct, tag_field="kind", tag="image"):
    data: bytes


class Order(pydantic.BaseModel):
    """What a client orders."""

    model_config = pydantic.ConfigDict(json_schema_extra={"examples": [{"dish": "tea"}]})
    dish: str
    count: Annotated[int, pydantic.Field(ge=1, description="How many.")] = 1


class Coffee(pydantic.BaseModel):
    kind: Literal["coffee"]
    milk: bool = False


class Tea(pydantic.BaseModel):
    kind: Literal["tea"]


class Menu(msgspec.Struct):
    order: Order


@dataclass
class Move:
    x: int
    y: int
    tags: list[str] = field(default_factory=list)


class Partial(TypedDict):
    a: int
    b: NotRequired[bool | None]


class BoardGateway(SocketIOGateway):
    """Draws on boards.

    Not shown.
    """

    events = (
        down("stroke", Stroke, to="all clients at the board"),
        down("page", Page, to="all"),
        down("order", Order, to="the kitchen"),
        down("menu", Menu, to="all"),
        down("moved", Move, to="all"),
        down("item", TypeVar("Item"), to="all"),
        down("shown", Text | Image, to="all"),
        down("消息", to="all"),
    )

    @on("draw")
    async def draw(self, stroke: Stroke) -> Partial:
        """Draws a line."""
        return {"a": 1}

    @on("order")
    async def order(self, order: Order, why: str) -> None:
        """Orders a dish."""

    @on("drink")
    async def drink(self, what: Annotated[Coffee | Tea, pydantic.Field(discriminator="kind")]) -> list[Tea]:
        return []

    @on("move/to")
    async def move(self, move: Move) -> None: ...

    @on("turn")
    async def turn(self, page: Page) -> None: ...

    @on("part")
    async def part(self, part: Partial, connection: Connection) -> None: ...


class StreamGateway(WebSocketGateway):
    events = (
        down("grown", Stroke, to="all", flat=True),
        down("fixed", Fixed, to="all", flat=True),
        down("order", Order, to="all"),
        up("stop", effect="stops"),
    )

    @on("pay", once="dish")
    async def pay(self, order: Order) -> Partial:
        return {"a": 1}


def host_document() -> dict[str, Any]:
    """The document of both gateways."""
    return asyncapi([BoardGateway("/boards"), StreamGateway("/stream")], server="wss://example.com:8443/app/")


def references(value: Any) -> Iterator[dict[str, Any]]:
    """Every reference in a part of a document, with what is beside it."""
    if isinstance(value, dict):
        yield from ([value] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def resolved(document: Any, reference: str) -> Any:
    """What a reference is to."""
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def payload_of(document: dict[str, Any], message: str, channel: str = "board") -> Any:
    """The schema of a message's payload."""
    payload = document["channels"][channel]["messages"][message]["payload"]
    return resolved(document, payload["$ref"]) if "$ref" in payload else payload
