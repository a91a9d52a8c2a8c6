"""Shared by all ASGI systems: the payload, and the route that requests broadcasts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypedDict

from starlette.types import ASGIApp, Receive, Scope, Send

EVENT = "MESSAGE_CREATE"
ROOM = os.environ.get("ROOM", "room")


class Payload(TypedDict):
    """A message or an event: its number, to check loss and order, and filler text."""

    number: int
    text: str


Broadcast: TypeAlias = Callable[[Payload], Awaitable[object]]


def control(broadcast: Broadcast) -> ASGIApp:
    """Make the host app. It uses no framework, so that a request costs little compared to the broadcast."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind: str = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            return
        _, _, first, count, size, *together = scope["path"].split("/")
        text, numbers = "x" * int(size), range(int(first), int(first) + int(count))
        if together:
            step = int(together[0])
            for start in range(0, len(numbers), step):
                some = numbers[start : start + step]
                await asyncio.gather(*[broadcast({"number": number, "text": text}) for number in some])
        else:
            for number in numbers:
                await broadcast({"number": number, "text": text})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app
