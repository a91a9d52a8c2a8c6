# fmt: off
# ruff: noqa
"""Typed client of `WorkshopGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, SocketIOClient


# Objects of the application. `--host-type` imports their types.
Thing: TypeAlias = Any


class Stroke(TypedDict):
    """A line that a user drew."""

    boardId: str
    colour: Literal["red", "blue"]
    # In pixels.
    width: float


class Circle(TypedDict):
    kind: Literal["circle"]
    radius: float


class Square(TypedDict):
    kind: Literal["square"]
    side: float
    label: NotRequired[str]


class Tree(TypedDict):
    """A tree."""

    children: list[Tree]
    kind: Literal["oak", "elm"] | None


# Fields that no class of Python could have.
Odd = TypedDict(
    "Odd",
    {
        # A word of Python.
        "class": 'int',
        "odd-name": NotRequired['dict[str, int]'],
    },
)


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed.

    `message` is for people, `code` for programs.
    """

    code: str
    message: str


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class Success(TypedDict):
    """An acknowledgement: the event was handled."""

    success: Literal[True]


class Failure(TypedDict):
    """An acknowledgement: the event was refused or failed.

    `message` is for people, `code` for programs.
    """

    success: Literal[False]
    code: str
    message: str


class Drawn(TypedDict):
    """How many strokes the board has now."""

    strokes: int


class Tool(TypedDict):
    """A tool, with a default."""

    name: Literal["brush", "pen"]
    sizes: NotRequired[list[int]]
    # ISO 8601.
    since: NotRequired[str | None]


class Order(TypedDict):
    """An order that may be sent again."""

    id: str
    item: str
    note: NotRequired[str | None]


class StrokeEvent(Event[Stroke]):
    """To the client that drew it."""

    name = "stroke"


class ToolChangedEvent(Event['Literal["brush", "pen"] | None']):
    """To the client."""

    name = "tool/changed"


class ShapeEvent(Event['Circle | Square']):
    """To the client."""

    name = "shape"


class TreesEvent(Event[list[Tree]]):
    """To the client."""

    name = "trees"


class PictureEvent(Event[bytes]):
    """To the client."""

    name = "picture"


class MovedEvent(Event[tuple[int, str]]):
    """To the client."""

    name = "moved"
    arguments = 2


class OddEvent(Event[Odd]):
    """To the client."""

    name = "odd"


class ThingEvent(Event[Thing]):
    """To the client."""

    name = "thing"


class ClearedEvent(Event[None]):
    """To the client."""

    name = "cleared"


class ErrorEvent(Event[ErrorMessage]):
    """To the client whose event was refused, unless an acknowledgement says it."""

    name = "error"


ServerEvent: TypeAlias = (
    StrokeEvent
    | ToolChangedEvent
    | ShapeEvent
    | TreesEvent
    | PictureEvent
    | MovedEvent
    | OddEvent
    | ThingEvent
    | ClearedEvent
    | ErrorEvent
)


class WorkshopClient(SocketIOClient[ServerEvent]):
    """A client of `WorkshopGateway`.

    A workshop. Each event comes back to the client that has sent it.
    """

    namespace = "/"
    events = (
        StrokeEvent,
        ToolChangedEvent,
        ShapeEvent,
        TreesEvent,
        PictureEvent,
        MovedEvent,
        OddEvent,
        ThingEvent,
        ClearedEvent,
        ErrorEvent,
    )

    async def auth_refresh(self, payload: NewToken, *, timeout: float = 10.0) -> Success:
        """Replace the token of a live connection. The new token must be of the same user."""
        answer: Success = await self._call("auth/refresh", payload, timeout=timeout)
        return answer

    async def draw(self, payload: Stroke, *, timeout: float = 10.0) -> Drawn:
        """Draws a line."""
        answer: Drawn = await self._call("draw", payload, timeout=timeout)
        return answer

    async def tool_choose(self, payload: Tool) -> None:
        """Chooses a tool."""
        await self._send("tool/choose", payload)

    async def shape(self, payload: Circle | Square, *, timeout: float = 10.0) -> str:
        answer: str = await self._call("shape", payload, timeout=timeout)
        return answer

    async def grow(self, payload: list[Tree], *, timeout: float = 10.0) -> Tree:
        answer: Tree = await self._call("grow", payload, timeout=timeout)
        return answer

    async def upload(self, payload: bytes, *, timeout: float = 10.0) -> bytes:
        answer: bytes = await self._call("upload", payload, timeout=timeout)
        return answer

    async def move(self, argument1: int, argument2: str, *, timeout: float = 10.0) -> int | None:
        answer: int | None = await self._call("move", argument1, argument2, timeout=timeout)
        return answer

    async def odd(self, payload: Odd) -> None:
        await self._send("odd", payload)

    async def order(self, payload: Order, *, timeout: float = 10.0) -> dict[str, str]:
        answer: dict[str, str] = await self._call("order", payload, timeout=timeout)
        return answer

    async def close_(self) -> None:
        await self._send("close")

    async def forbidden(self, *, timeout: float = 10.0) -> Drawn:
        answer: Drawn = await self._call("forbidden", timeout=timeout)
        return answer

    async def newer(self) -> None:
        """A newer server sends an event that the client does not know, and more values than it
        knows.
        """
        await self._send("newer")

    async def wait(self, *, timeout: float = 10.0) -> int:
        """Returns when the test says so."""
        answer: int = await self._call("wait", timeout=timeout)
        return answer

    async def flood(self, payload: int) -> None:
        await self._send("flood", payload)
