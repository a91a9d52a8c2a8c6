"""A connection of a client of a JSON gateway, on `websockets`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from asgi_realtime.client.errors import NotConnected, Refused
from asgi_realtime.client.events import AnyEvent, Connected
from asgi_realtime.client.link import Auth, End, Json, Session, bearer_header, fields_of
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.runtime.new_task import new_task

logger = logging.getLogger("asgi_realtime.client")

_CODES = {1008: "UNAUTHORIZED", 1009: "TOO_LARGE", 1013: "INTERNAL"}
"""What the close code says about a client that is refused without a code."""
_TOO_LARGE = 1009
"""The close code for a frame over `max_bytes`."""
_UNANSWERED = 100
"""Pings without an answer, after which the connection counts as lost."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that the server may take to answer a close."""


@dataclass(kw_only=True, repr=False)  # it has secrets
class WebSocketLink:
    """One WebSocket.

    Attributes:
        url: of the WebSocket, without the token.
        token_place: where the gateway reads the token.
        token_name: what a token is called there.
        flat_auth: whether the fields of the first frame, `auth`, are beside its `type`.
        accepted: the event that says that the client is accepted. None: the gateway does not say it.
        ping_interval: seconds between two `ping` frames.
        max_bytes: the largest frame.
        classes: the events that are known, by name.
        put: takes what was received.
    """

    url: str
    auth: Auth | None
    headers: Mapping[str, str]
    token_place: Literal["auth", "bearer", "query"] | None
    token_name: str
    flat_auth: bool
    accepted: str | None
    ping_interval: float
    max_bytes: int
    session: Session
    classes: Mapping[str, type[AnyEvent]]
    put: Callable[[AnyEvent], None]
    _socket: ClientConnection | None = None
    _warnings: LogLimit = field(default_factory=LogLimit)
    _pings: deque[bool] = field(default_factory=deque)
    """For each ping that was not answered yet, whether the program has sent it."""

    async def open(self) -> None:
        """Connect, authenticate, and wait for the gateway's first frame. See `Link.open`."""
        try:
            self._socket = await connect(
                self._address(),
                additional_headers=self._headers(),
                max_size=self.max_bytes,
                open_timeout=None,
                close_timeout=_CLOSE_TIMEOUT,
            )
            if self.token_place == "auth" and self.auth is not None:
                recovery = {} if self.session.reference is None else {"recovery": self.session.reference}
                fields = fields_of(self.auth, self.token_name) | recovery
                await self._write({**fields, "type": "auth"} if self.flat_auth else {"type": "auth", "data": fields})
            await self._wait_until_accepted(self._socket)
        except InvalidStatus as error:
            status = error.response.status_code
            if status < 500:
                raise Refused(f"the server answered with HTTP {status}", status) from None
            raise NotConnected(f"the server answered with HTTP {status}") from None
        except (OSError, WebSocketException) as error:
            raise NotConnected(str(error)) from error

    async def run(self) -> End:
        """Receive until the connection has ended, and ping."""
        assert self._socket is not None
        pinging = new_task(self._ping(self._socket), name="pings of a client")
        try:
            while True:
                self._read(await self._socket.recv())
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code == _TOO_LARGE and not error.rcvd_then_sent:
                self.session.reference = None  # to recover would bring the same frame again and again
            code = None if error.rcvd is None else error.rcvd.code
            reason = "the connection was lost" if error.rcvd is None else error.rcvd.reason
            return End(code, reason, by_server=code in (1000, 1008))
        finally:
            pinging.cancel()

    async def send(self, frame: Mapping[str, Json]) -> None:
        """Send a frame.

        Raises:
            NotConnected: the connection has ended.
        """
        if frame["type"] == "ping":
            self._pings.append(True)
        await self._write(frame)

    async def close(self) -> None:
        """Close the WebSocket with 1000."""
        if self._socket is not None:
            await self._socket.close()

    def _address(self) -> str:
        parameters = {}
        if self.token_place == "query":
            parameters = {name: str(value) for name, value in fields_of(self.auth, self.token_name).items()}
        if self.token_place != "auth" and self.session.reference is not None:
            parameters["recovery"] = json.dumps(self.session.reference)
        return f"{self.url}?{urlencode(parameters)}" if parameters else self.url

    def _headers(self) -> dict[str, str]:
        bearer = bearer_header(self.auth, self.token_name) if self.token_place == "bearer" else {}
        return bearer | dict(self.headers)

    async def _wait_until_accepted(self, socket: ClientConnection) -> None:
        if self.accepted is None:
            self.put(Connected(False))
            return
        refusal: dict[str, Json] = {}
        try:
            while True:
                frame = _frame(await socket.recv())
                if frame is not None and frame["type"] == self.accepted:
                    self._accept(frame)
                    return
                if frame is not None:
                    found = frame.get("data", frame)
                    refusal = found if isinstance(found, dict) else {}
        except ConnectionClosed as error:
            if error.rcvd is None:
                raise NotConnected("the connection was lost before the server accepted the client") from None
            message = str(refusal.get("message", error.rcvd.reason))
            raise Refused(message, refusal.get("code", _CODES.get(error.rcvd.code, error.rcvd.code))) from None

    def _accept(self, frame: dict[str, Json]) -> None:
        data = frame.get("data", frame)
        match data:
            case {"recovery": {"id": str() as id, "position": str() as position, "recovered": bool() as recovered}}:
                self.session.reference = {"id": id, "position": position}
                self.put(Connected(recovered))
            case _:
                self.session.reference = None
                self.put(Connected(False))
        self._deliver(frame)

    def _read(self, message: str | bytes) -> None:
        frame = _frame(message)
        if frame is None:
            more = self._warnings.more()
            if more is not None:
                logger.warning("the server sent a message that is no frame%s", more)
            return
        if frame["type"] == "pong" and self._pings and not self._pings.popleft():
            self._note_position(frame)
            return  # the answer to a ping of this link
        self._deliver(frame)

    def _deliver(self, frame: dict[str, Json]) -> None:
        self._note_position(frame)
        kind = self.classes.get(frame["type"])
        if kind is None:
            logger.debug("an event that is not declared: %s", frame["type"])
        elif kind.flat:
            self.put(kind({name: value for name, value in frame.items() if name not in ("type", "offset")}))
        else:
            self.put(kind(frame.get("data")))

    def _note_position(self, frame: dict[str, Json]) -> None:
        offset = frame.get("offset")
        if self.session.reference is not None and isinstance(offset, str):
            self.session.reference["position"] = offset

    async def _ping(self, socket: ClientConnection) -> None:
        with contextlib.suppress(NotConnected):
            while True:
                await asyncio.sleep(self.ping_interval)
                if len(self._pings) >= _UNANSWERED:
                    await socket.close()
                    return
                self._pings.append(False)
                await self._write({"type": "ping"})

    async def _write(self, frame: Mapping[str, Json]) -> None:
        if self._socket is None:
            raise NotConnected("not connected")
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        except ConnectionClosed:
            raise NotConnected("the connection was lost") from None


def _frame(message: str | bytes) -> dict[str, Json] | None:
    """The frame in a message. None: it is none."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):  # no JSON, or too deep
        return None
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else None
