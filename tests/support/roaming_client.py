"""A client whose requests go to several processes alternately, as without sticky sessions."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Sequence
from typing import Final

import httpx

from asgi_realtime import Settings, create_token
from asgi_realtime.values.json import Json

PATIENCE: Final = 30.0
"""Most seconds that a packet is waited for."""


class RoamingClient:
    """A polling client of Socket.IO. Each of its requests goes to the next of the processes."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str]) -> None:
        self.http = http
        self.urls = list(urls)
        self._next = itertools.cycle(range(len(urls)))
        self._packets: deque[str] = deque()
        self.sid = ""

    def url(self, transport: str = "polling", *, at: int | None = None) -> str:
        """The URL of a request, at the next process or at the one with this number."""
        base = self.urls[next(self._next) if at is None else at]
        return f"{base}/socket.io/?EIO=4&transport={transport}" + (f"&sid={self.sid}" if self.sid else "")

    async def open(self, *, at: int = 0) -> None:
        """Open a session at a process."""
        response = await self.http.get(self.url(at=at))
        self.sid = json.loads(response.text[1:])["sid"]

    async def connect(self, user_id: str, secret: str, *, at: int = 0) -> None:
        """Open a session at a process, and connect to the namespace `/`."""
        await self.open(at=at)
        await self.post(f"40{json.dumps({'token': create_token(user_id, Settings(jwt_secret=secret))})}")
        answer = await self.next()
        assert answer.startswith("40"), answer

    async def get(self, *, at: int | None = None) -> httpx.Response:
        """Poll once."""
        return await self.http.get(self.url(at=at))

    async def post(self, *packets: str, at: int | None = None) -> httpx.Response:
        """Send packets."""
        return await self.http.post(self.url(at=at), content="\x1e".join(packets).encode())

    async def next(self) -> str:
        """The next packet; pings are answered, not returned."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while not self._packets:
                    response = await self.get()
                    assert response.status_code == 200, response.text
                    self._packets.extend(response.text.split("\x1e"))
                packet = self._packets.popleft()
                if packet == "2":
                    await self.post("3")
                elif packet != "6":
                    return packet

    async def event(self) -> Json:
        """The next event, as a list of its name and arguments."""
        packet = await self.next()
        assert packet.startswith("42"), packet
        return json.loads(packet[2:])
