"""A client of a JSON WebSocket, in a test."""

from __future__ import annotations

import json
from typing import Any

from asgi_realtime.testing.mailbox import Event
from asgi_realtime.testing.payloads import as_sent
from asgi_realtime.testing.socket import ConnectionRefused, Socket
from asgi_realtime.values.json import Json


class JSONSocket(Socket):
    """A client of a WebSocket path, with frames `{"type", "data"}`.

    In a frame without `data`, the other fields are the event's data.
    """

    async def _enter(self, auth: Json) -> None:
        """Send `auth` if it is given, and wait until the application has accepted or refused the client."""
        if auth is not None:
            await self.send("auth", auth)
        await self._settle()
        if self.closed is not None:
            answer = self.events[-1].data if self.events else None
            raise ConnectionRefused(self.closed.reason, data=answer, closed=self.closed)

    async def send(self, event: str, *args: Any, **fields: Any) -> None:
        """Send a frame: its type, its `data` if there is an argument, and `fields` beside it."""
        if len(args) > 1:
            raise TypeError("a JSON frame carries one payload")
        data = {"data": args[0]} if args else {}
        await self.send_raw(json.dumps(as_sent({"type": event, **data, **fields})))

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Not supported: JSON frames have no acknowledgements."""
        raise TypeError("JSON frames have no acknowledgements: use send, then expect the answer")

    def _receive(self, message: str | bytes) -> None:
        frame = json.loads(message)
        name = frame.pop("type")
        if isinstance(frame.get("offset"), str) and (name == "pong" or frame.keys() == {"offset"}):
            del frame["offset"]  # a position, for recovery: not part of the event
        args = (frame["data"],) if "data" in frame else (frame,) if frame else ()
        self._mailbox.put(Event(name, args))
