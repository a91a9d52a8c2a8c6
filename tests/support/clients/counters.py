# fmt: off
# ruff: noqa
"""Typed client of `CountersGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, WebSocketClient


class Drawn(TypedDict):
    """How many strokes the board has now."""

    strokes: int


class Circle(TypedDict):
    kind: Literal["circle"]
    radius: float


class Square(TypedDict):
    kind: Literal["square"]
    side: float
    label: NotRequired[str]


class Authenticated(TypedDict):
    """The user that the client authenticated as."""

    userId: str
    recovery: NotRequired[RecoveryOffer]


class RecoveryOffer(TypedDict):
    """What a client presents to recover after a loss, and whether it has just recovered."""

    id: str
    position: str
    recovered: bool


class Unauthenticated(TypedDict):
    """Why the client was refused. `code` is there if the host's refusal has a code of its own."""

    message: str
    code: NotRequired[str]


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed.

    `message` is for people, `code` for programs.
    """

    code: str
    message: str


class Credentials(TypedDict):
    """What a client presents in `auth`.

    `recovery` is for the first one only. `false` declines recovery.
    """

    recovery: NotRequired[SessionReference | Literal[False]]
    token: str


class SessionReference(TypedDict):
    """What a client presents to recover: the `id` that it was told, and the position of the last
    event it has got.
    """

    id: str
    position: str


class Order(TypedDict):
    """An order that may be sent again."""

    id: str
    item: str
    note: NotRequired[str | None]


class CountedEvent(Event[Drawn]):
    """To the client."""

    name = "counted"
    flat = True


class ShapeEvent(Event['Circle | Square']):
    """To the client."""

    name = "shape"


class ClearedEvent(Event[None]):
    """To all."""

    name = "cleared"


class AuthSuccessEvent(Event[Authenticated]):
    """To the client that authenticated."""

    name = "auth_success"


class AuthErrorEvent(Event[Unauthenticated]):
    """To the client whose token is not valid, before it is closed with 1008."""

    name = "auth_error"


class PongEvent(Event[None]):
    """To the client that sent `ping`."""

    name = "pong"


class ErrorEvent(Event[ErrorMessage]):
    """To the client whose event was refused, unless an acknowledgement says it."""

    name = "error"


ServerEvent: TypeAlias = (
    CountedEvent
    | ShapeEvent
    | ClearedEvent
    | AuthSuccessEvent
    | AuthErrorEvent
    | PongEvent
    | ErrorEvent
)


class CountersClient(WebSocketClient[ServerEvent]):
    """A client of `CountersGateway`. Counters, in flat frames."""

    token_place = "auth"
    flat_auth = True
    accepted = "auth_success"
    events = (
        CountedEvent,
        ShapeEvent,
        ClearedEvent,
        AuthSuccessEvent,
        AuthErrorEvent,
        PongEvent,
        ErrorEvent,
    )

    async def auth(self, payload: Credentials) -> None:
        """Authenticates, or replaces the token; answered with `auth_success`."""
        await self._send_flat("auth", payload)

    async def ping(self) -> None:
        """Answered with `pong`."""
        await self._send("ping")

    async def count(self, payload: Drawn) -> None:
        """Counts."""
        await self._send_flat("count", payload)

    async def shape(self, payload: Circle | Square) -> None:
        await self._send_flat("shape", payload)

    async def join(self, payload: Order) -> None:
        await self._send_flat("join", payload)

    async def clear(self) -> None:
        await self._send("clear")

    async def forbidden(self) -> None:
        await self._send("forbidden")

    async def newer(self) -> None:
        """A newer server sends an event that the client does not know."""
        await self._send("newer")
