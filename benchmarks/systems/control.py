"""Shared by all ASGI systems: the payload, and the route that requests broadcasts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypedDict

from starlette.types import ASGIApp, Receive, Scope
from starlette.types import Send as ASGISend

EVENT = "MESSAGE_CREATE"
ROOM = os.environ.get("ROOM", "room")


class Payload(TypedDict):
    """A message or an event: its number, to check loss and order, and filler text."""

    number: int
    text: str


class Rooms(TypedDict):
    """The small rooms that a client enters, by number."""

    rooms: list[int]


Broadcast: TypeAlias = Callable[[Payload], Awaitable[object]]
"""Sends a message to the room that all clients are in."""
Send: TypeAlias = Callable[[int, Payload], Awaitable[object]]
"""Sends a message to the small room of this number, or to the client that is alone in it."""


def room_name(number: int) -> str:
    """The name of a small room."""
    return f"room{number}"


def control(
    broadcast: Broadcast, *, volatile: Broadcast | None = None, except_: Send | None = None, **targets: Send
) -> ASGIApp:
    """Make the host app. It uses no framework, so that a request costs little compared to the broadcast.

    `benchmarks/load/main.c` describes the requests. `volatile` and `except_` are other kinds of broadcast; `except_`
    gets the room of the client that is left out. `targets` send to small rooms, by the name of the kind in the path:
    `rooms`, `users` or `connections`.
    """
    to_all = {"broadcast": broadcast, "volatile": volatile}

    async def to_targets(kind: str, first: str, size: str, *rooms: str) -> None:
        send, text = targets[kind], "x" * int(size)
        for number, room in enumerate(rooms, int(first)):
            await send(int(room), {"number": number, "text": text})

    async def to_room(kind: str, first: str, count: str, size: str, together: str = "1", clients: str = "1") -> None:
        text, numbers, step = "x" * int(size), range(int(first), int(first) + int(count)), int(together)
        everyone = to_all.get(kind)

        def one(number: int) -> Awaitable[object]:
            payload: Payload = {"number": number, "text": text}
            if everyone is not None:
                return everyone(payload)
            assert except_ is not None
            return except_(number % int(clients), payload)

        if step == 1:
            for number in numbers:
                await one(number)
        else:
            for start in range(0, len(numbers), step):
                await asyncio.gather(*map(one, numbers[start : start + step]))

    async def app(scope: Scope, receive: Receive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind: str = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            return
        _, kind, *rest = scope["path"].split("/")
        await (to_targets if kind in targets else to_room)(kind, *rest)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app
