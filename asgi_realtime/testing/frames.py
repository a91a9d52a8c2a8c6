"""A client of a JSON WebSocket in a test."""

from __future__ import annotations

import json
from typing import Any

from asgi_realtime.catalogue import to_builtins
from asgi_realtime.messages import Json
from asgi_realtime.testing.socket import ConnectionRefused, Event, Socket


class JSONSocket(Socket):
    """A client of a WebSocket path, with frames `{"type", "data"}`.

    Of a frame without `data`, the other fields are the event's data.
    """

    async def open(self, auth: Json) -> None:
        """Connect, authenticate if there is something to send, and wait until the application has decided."""
        await self.wire.open()
        if auth is not None:
            await self.send("auth", auth)
        await self._settle()
        if self.closed is not None:
            last = self.events[-1].data if self.events else None
            raise ConnectionRefused(self.closed.reason, data=last)

    async def send(self, event: str, *args: Any, **fields: Any) -> None:
        """Send a frame: its type, at most one argument as `data`, and `fields` beside it."""
        if len(args) > 1:
            raise TypeError("a JSON frame carries one payload")
        frame = {"type": event, **({"data": args[0]} if args else {}), **fields}
        await self.send_raw(json.dumps(to_builtins(frame)))

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Not here: a JSON frame has no acknowledgement."""
        raise TypeError("JSON gateways do not acknowledge frames: send, then expect what comes back")

    def take(self, message: str | bytes) -> None:
        """Take a frame."""
        frame = json.loads(message)
        name = frame.pop("type")
        self.arrived(Event(name, (frame["data"],) if "data" in frame else (frame,) if frame else ()))
