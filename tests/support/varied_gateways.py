"""Gateways whose handlers do everything that a handler may do. They note what happens, for comparisons."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic

from asgi_realtime import (
    Connection,
    Disconnect,
    Forbidden,
    Handshake,
    Identity,
    Limits,
    SocketIOGateway,
    WebSocketGateway,
)

_variable: contextvars.ContextVar[int] = contextvars.ContextVar("_variable", default=0)


class Move(TypedDict):
    """An object with required fields."""

    x: float
    y: int | None


class Said(msgspec.Struct, rename="camel"):
    """An object with names of its own."""

    the_text: Annotated[str, msgspec.Meta(max_length=40)]
    kind: Literal["a", "b"]


class Open(TypedDict, total=False):
    """An object without required fields."""

    x: int


@dataclasses.dataclass
class Point:
    """A dataclass with a default."""

    x: int
    y: int = 7


class Model(pydantic.BaseModel):
    """A model."""

    x: int


class Handlers:
    """The handlers, and the notes that they write."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def declare(self, on: Callable[..., Callable[[Any], Any]]) -> None:
        """Declare every handler."""
        for name in [name for name in vars(Handlers) if name.startswith("on_")]:
            on(name[3:])(getattr(self, name))

    def _note(self, name: str, *values: object) -> None:
        self.notes.append(f"{name} {values!r}")

    async def on_move(self, payload: Move, connection: Connection) -> None:
        self._note("move", payload, connection.closed)

    async def on_said(self, connection: Connection, payload: Said) -> None:
        self._note("said", payload)

    async def on_open(self, payload: Open) -> None:
        self._note("open", payload)

    async def on_point(self, payload: Point, connection: Connection) -> None:
        self._note("point", payload)

    async def on_model(self, payload: Model, connection: Connection) -> None:
        self._note("model", payload)

    async def on_number(self, payload: int, connection: Connection) -> None:
        self._note("number", payload)

    async def on_texts(self, payload: list[str], connection: Connection) -> None:
        self._note("texts", payload)

    async def on_any(self, payload: Any, connection: Connection) -> None:
        self._note("any", payload)

    async def on_two(self, first: int, second: str = "none") -> None:
        self._note("two", first, second)

    async def on_rest(self, *rest: Any) -> None:
        self._note("rest", rest)

    async def on_bare(self, connection: Connection, identity: Identity) -> None:
        self._note("bare", identity.user_id)

    async def on_wait(self, payload: int, connection: Connection) -> None:
        self._note("wait begins", payload)
        for _ in range(payload % 4):
            await asyncio.sleep(0)  # the handler waits for so many turns of the loop
        self._note("wait ends", payload, connection.closed)

    async def on_stuck(self, connection: Connection) -> None:
        self._note("stuck")
        await asyncio.Event().wait()

    async def on_send(self, payload: int, connection: Connection) -> None:
        self._note("send", payload)
        await connection.send("sent", payload)

    async def on_fail(self, payload: int, connection: Connection) -> None:
        self._note("fail", payload)
        if payload % 4 == 0:
            raise Forbidden("no")
        if payload % 4 == 1:
            raise ValueError("a failure")
        if payload % 4 == 2:
            raise asyncio.CancelledError
        await asyncio.sleep(0)  # it fails after it has waited
        raise ValueError("a failure")

    async def on_end(self, payload: int, connection: Connection) -> None:
        self._note("end", payload)
        if payload % 2:
            raise Disconnect(4403, "enough")
        await connection.close(1008 if payload % 4 else 4000, "over")

    async def on_variable(self, payload: int, connection: Connection) -> None:
        self._note("variable", _variable.get())
        _variable.set(payload)
        if payload % 3 == 0:
            await asyncio.sleep(0)  # the rest runs in another step of the task
        self._note("variable", _variable.get())

    async def on_cancel(self, payload: int, connection: Connection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._note("cancel", task.cancelling())
        if payload % 2:
            task.cancel()

    def on_plain(self, payload: int) -> None:
        self._note("plain", payload)


async def anyone(handshake: Handshake) -> Identity:
    """Accept every client."""
    return Identity(user_id="ann")


class Namespace(SocketIOGateway):
    """A namespace with all handlers."""

    def __init__(self, namespace: str, limits: Limits) -> None:
        super().__init__(namespace, authenticator=anyone, limits=limits)
        self.handlers = Handlers()
        self.handlers.declare(self.on)
        self.on("answer")(self._answer)

    async def _answer(self, payload: Any, connection: Connection) -> Any:
        self.handlers.notes.append(f"answer {payload!r}")
        return {"tuple": (1, 2), "none": None, "bytes": b"\x00", "bad": object()}.get(str(payload), payload)


class Path(WebSocketGateway):
    """A path with all handlers."""

    def __init__(self, path: str, limits: Limits, idle_timeout: float | None = None) -> None:
        super().__init__(path, authenticator=anyone, limits=limits, idle_timeout=idle_timeout)
        self.handlers = Handlers()
        self.handlers.declare(self.on)
        self.on("answer")(self._answer)

    async def _answer(self, payload: Any, connection: Connection) -> Any:
        self.handlers.notes.append(f"answer {payload!r}")
        return payload
