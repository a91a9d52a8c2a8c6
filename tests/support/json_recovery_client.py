"""A client of a JSON gateway that recovers, as docs/guides/recovery.md describes it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal
from urllib.parse import urlencode

import websockets
from websockets.asyncio.client import ClientConnection

from asgi_realtime.values.json import Json

Way = Literal["frame", "query"]
"""Where the client presents its token, and `recovery` beside it."""


class JSONRecoveryClient:
    """Connects as often as it is told to, and keeps what it needs to recover.

    Args:
        url: of the gateway.
        token: the client's token.
        way: where it presents that.
        recovery: what it presents at first.
    """

    def __init__(self, url: str, token: str, way: Way = "frame", *, recovery: Json = None) -> None:
        self.url = url
        self.token = token
        self.way = way
        self.recovery: Any = recovery
        self.recovered = False
        self.frames: list[dict[str, Any]] = []
        """Every frame of every connection."""
        self._websockets: list[ClientConnection] = []

    @property
    def websocket(self) -> ClientConnection:
        """The newest connection, which may have ended."""
        return self._websockets[-1]

    async def open(self, **options: Any) -> None:
        """Connect, and present the token."""
        query = {"token": self.token} if self.way == "query" else {}
        if self.recovery is not None and self.way == "query":
            query["recovery"] = json.dumps(self.recovery)
        url = f"{self.url}?{urlencode(query)}"
        self._websockets.append(await websockets.connect(url, compression=None, ping_interval=None, **options))
        if self.way == "frame":
            data = {"token": self.token} | ({} if self.recovery is None else {"recovery": self.recovery})
            await self.send("auth", data)

    async def connect(self, **options: Any) -> dict[str, Any]:
        """Connect and be accepted. Returns the payload of the first frame."""
        await self.open(**options)
        return await self.accepted()

    async def accepted(self) -> dict[str, Any]:
        """Read the first frame, and return its payload."""
        frame = await self.next()
        assert frame["type"] in ("auth_success", "connection_established"), frame
        payload: dict[str, Any] = frame.get("data", frame)
        self.recovered = "recovery" in payload and payload["recovery"]["recovered"]
        if "recovery" in payload:
            self.recovery = {name: payload["recovery"][name] for name in ("id", "position")}
        return payload

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(10):
            frame: dict[str, Any] = json.loads(await self.websocket.recv())
        if "offset" in frame:
            self.recovery["position"] = frame["offset"]
        self.frames.append(frame)
        return frame

    async def expect(self, kind: str) -> Any:
        """Read on to a frame of a type. Returns its data."""
        while True:
            frame = await self.next()
            if frame["type"] == kind:
                return frame.get("data")

    async def send(self, kind: str, data: Json) -> None:
        """Send a frame."""
        await self.websocket.send(json.dumps({"type": kind, "data": data}))

    def vanish(self) -> None:
        """Lose every connection, without a close frame."""
        for websocket in self._websockets:
            websocket.transport.abort()
        self._websockets.clear()

    def data(self, kind: str = "n") -> list[Any]:
        """The data of all frames of a type."""
        return [frame.get("data") for frame in self.frames if frame["type"] == kind]
