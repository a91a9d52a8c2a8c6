"""A host's own gateways with payloads of every kind. Clients of them are generated in `tests/support/clients`."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
from typing import Annotated, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
from msgspec import UNSET, UnsetType

from asgi_realtime import (
    Connection,
    FlatJSONDialect,
    Forbidden,
    SocketIOGateway,
    WebSocketGateway,
    down,
    on,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Stroke(msgspec.Struct, frozen=True, rename="camel"):
    """A line that a user drew."""

    board_id: str
    colour: Colour
    width: Annotated[float, msgspec.Meta(description="In pixels.")]


class Drawn(msgspec.Struct, frozen=True):
    """How many strokes the board has now."""

    strokes: int


class Circle(msgspec.Struct, frozen=True, tag_field="kind", tag="circle"):
    radius: float


class Square(msgspec.Struct, frozen=True, tag_field="kind", tag="square"):
    side: float
    label: str | UnsetType = UNSET


@dataclasses.dataclass
class Tool:
    """A tool, with a default."""

    name: Literal["pen", "brush"]
    sizes: list[int] = dataclasses.field(default_factory=list)
    since: datetime.datetime | None = None


class Order(TypedDict):
    """An order that may be sent again."""

    id: str
    item: str
    note: NotRequired[str | None]


class Tree(pydantic.BaseModel):
    """A tree."""

    children: list[Tree]
    kind: Literal["oak", "elm"] | None


class Odd(msgspec.Struct, frozen=True):
    """Fields that no class of Python could have."""

    class_: Annotated[int, msgspec.Meta(description="A word of Python.")] = msgspec.field(name="class")
    odd_name: dict[str, int] | UnsetType = msgspec.field(name="odd-name", default=UNSET)


Thing = TypeVar("Thing")


class WorkshopGateway(SocketIOGateway):
    """A workshop. Each event comes back to the client that has sent it."""

    events = (
        down("stroke", Stroke, to="the client that drew it"),
        down("tool/changed", Literal["pen", "brush"] | None, to="the client"),
        down("shape", Circle | Square, to="the client"),
        down("trees", list[Tree], to="the client"),
        down("picture", bytes, to="the client"),
        down("moved", tuple[int, str], to="the client"),
        down("odd", Odd, to="the client"),
        down("thing", Thing, to="the client"),
        down("cleared", to="the client"),
    )

    def __init__(self, namespace: str = "/") -> None:
        super().__init__(namespace)
        self.answer = asyncio.Event()

    @on("draw")
    async def draw(self, stroke: Stroke, connection: Connection) -> Drawn:
        """Draws a line."""
        await connection.send("stroke", stroke)
        return Drawn(1)

    @on("tool/choose")
    async def choose(self, tool: Tool, connection: Connection) -> None:
        """Chooses a tool."""
        await connection.send("tool/changed", tool.name if tool.sizes else None)

    @on("shape")
    async def shape(self, shape: Circle | Square, connection: Connection) -> str:
        await connection.send("shape", shape)
        return type(shape).__name__

    @on("grow")
    async def grow(self, trees: list[Tree], connection: Connection) -> Tree:
        await connection.send("trees", trees)
        return Tree(children=trees, kind="oak")

    @on("upload")
    async def upload(self, picture: bytes, connection: Connection) -> bytes:
        await connection.send("picture", picture)
        return picture[::-1]

    @on("move")
    async def move(self, x: int, label: str, connection: Connection) -> int | None:
        await connection.send("moved", x, label)
        return x or None

    @on("odd")
    async def odd(self, odd: Odd, connection: Connection) -> None:
        await connection.send("odd", odd)
        await connection.send("thing", {"any": [1, None]})

    @on("order", once="id")
    async def order(self, order: Order) -> dict[str, str]:
        return {"receipt": order["item"]}

    @on("close")
    async def end(self, connection: Connection) -> None:
        await connection.send("cleared")

    @on("forbidden")
    async def forbidden(self) -> Drawn:
        raise Forbidden("not yours", code="NOT_YOURS")

    @on("newer")
    async def newer(self, connection: Connection) -> None:
        """A newer server sends an event that the client does not know, and more values than it knows."""
        await connection.send("unknown", 1)
        await connection.send("odd", Odd(5), "more")

    @on("wait")
    async def wait(self) -> int:
        """Returns when the test says so."""
        await self.answer.wait()
        return 1

    @on("flood")
    async def flood(self, times: int, connection: Connection) -> None:
        for number in range(times):
            await connection.send("thing", number)


class CountersGateway(WebSocketGateway):
    """Counters, in flat frames."""

    events = (
        down("counted", Drawn, to="the client", flat=True),
        down("shape", Circle | Square, to="the client"),
        down("cleared", to="all"),
    )
    wire = FlatJSONDialect()

    @on("count")
    async def count(self, drawn: Drawn, connection: Connection) -> None:
        """Counts."""
        self.push_frame(connection, self.wire.flat("counted", Drawn(drawn.strokes + 1)))

    @on("shape")
    async def shape(self, shape: Circle | Square, connection: Connection) -> None:
        await connection.send("shape", shape)

    @on("join")
    async def join(self, order: Order, connection: Connection) -> None:
        await connection.join(order["item"])

    @on("clear")
    async def clear(self) -> None:
        await self.broadcaster.broadcast_to_room("tea", "cleared")

    @on("forbidden")
    async def forbidden(self) -> None:
        raise Forbidden("not yours", code="NOT_YOURS")

    @on("newer")
    async def newer(self, connection: Connection) -> None:
        """A newer server sends an event that the client does not know."""
        await connection.send("unknown", 1)
        await connection.send("cleared")
