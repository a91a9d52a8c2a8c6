"""The client's end of Engine.IO long-polling, on the ASGI interface."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.testing.wire import ABNORMAL, NO_STATUS, Closed, WireListener, WireRefused


class PollingWire:
    """Engine.IO long-polling: a GET that waits for packets, and POSTs that bring them."""

    def __init__(self, app: ASGIApp, scope: Scope, listener: WireListener) -> None:
        self._app = app
        self._scope = scope
        self._listener = listener
        self._outgoing: list[bytes] = []
        self._most_bytes = 0  # of a POST; the handshake says it
        self._gone = asyncio.Event()
        self._left = False
        # A poll is at the application, which has nothing to send yet; or there are no more polls.
        self._polling = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._poster: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether everything was posted, and a poll waits at the application."""
        return (self._poster is None or self._poster.done()) and self._polling.is_set()

    async def until_idle(self) -> None:
        """Return when everything was posted, and a poll waits (or there are no more)."""
        while not self.idle:
            if self._poster is not None:
                await asyncio.wait([self._poster])
            await self._polling.wait()

    async def open(self) -> None:
        """Make the handshake, and begin to poll."""
        status, body = await self._request("GET")
        if status != 200:
            self._polling.set()
            raise WireRefused(status, body)
        opening = body.decode().partition("\x1e")[0]
        handshake = json.loads(opening[1:])
        self._scope["query_string"] += b"&sid=" + handshake["sid"].encode()
        self._most_bytes = handshake["maxPayload"]
        self._take(body)
        self._poller = new_task(self._poll(), name="Engine.IO polls under test")

    def send(self, message: str | bytes) -> None:
        """Post a packet, with those that wait already."""
        self._outgoing.append(message.encode() if isinstance(message, str) else b"b" + base64.b64encode(message))
        if self._poster is None or self._poster.done():
            self._poster = new_task(self._post(), name="Engine.IO POSTs under test")

    async def close(self, code: int) -> None:
        """Post a close packet, or with `ABNORMAL` abort the poll as if the network was lost."""
        if self._poller is None:
            return
        if code != ABNORMAL and not self._poller.done():
            self._left = True
            self.send("1")
        if self._poster is not None:
            await self._poster
        if code == ABNORMAL:
            self._gone.set()
        await self._poller

    async def _poll(self) -> None:
        closed, error = Closed(ABNORMAL), None
        try:
            while not self._gone.is_set():
                status, body = await self._request("GET")
                if status != 200:
                    # A client that has left gets one more answer, and is then refused.
                    closed = Closed(NO_STATUS if self._left else ABNORMAL)
                    break
                if self._take(body):
                    closed = Closed(NO_STATUS)
                    break
        except Exception as raised:
            error = raised
        finally:
            self._listener.ended(closed, error)
            self._polling.set()

    def _take(self, body: bytes) -> bool:
        """Hand over the packets of a payload. True: one of them was the close."""
        for packet in body.decode().split("\x1e"):
            if packet == "1":
                return True
            self._listener.received(base64.b64decode(packet[1:]) if packet.startswith("b") else packet)
        return False

    async def _post(self) -> None:
        while self._outgoing:
            await self._request("POST", b"\x1e".join(self._take_outgoing()))

    def _take_outgoing(self) -> list[bytes]:
        """As many packets as fit into one POST, as clients do; at least one."""
        size = -1
        for number, packet in enumerate(self._outgoing):
            size += 1 + len(packet)
            if number and size > self._most_bytes:
                break
        else:
            number = len(self._outgoing)
        taken, self._outgoing = self._outgoing[:number], self._outgoing[number:]
        return taken

    async def _request(self, method: str, body: bytes = b"") -> tuple[int, bytes]:
        """Make one HTTP request. An aborted one has status 0."""
        received: dict[str, Any] = {"status": 0, "body": b""}
        sent = False

        async def receive() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            if method == "GET":
                self._polling.set()
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                if method == "GET":
                    self._polling.clear()
                received["status"] = message["status"]
            elif message["type"] == "http.response.body":
                received["body"] += message.get("body", b"")

        await self._app({**self._scope, "method": method}, receive, send)
        return received["status"], received["body"]
