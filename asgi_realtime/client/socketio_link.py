"""A connection of a client of a Socket.IO gateway, on python-socketio's client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import socketio

from asgi_realtime.client.errors import NotConnected, Refused
from asgi_realtime.client.events import AnyEvent, Connected
from asgi_realtime.client.link import Auth, End, Json, bearer_header, fields_of

logger = logging.getLogger("asgi_realtime.client")

_MOST_PACKETS = 1000
"""Packets that wait to be sent, before `send` waits."""
_CLOSE_TIMEOUT = 2.0
"""Seconds that a connection may take to end."""


@dataclass(kw_only=True, repr=False)  # it has secrets
class SocketIOLink:
    """One connection of Engine.IO with one namespace.

    Attributes:
        url: of Engine.IO.
        token_place: where the gateway reads the token.
        token_name: what a token is called there.
        timeout: seconds for the answer to CONNECT, and for the server to read when much waits to be sent.
        classes: the events that are known, by name.
        put: takes what was received.
    """

    url: str
    namespace: str
    auth: Auth | None
    token_place: Literal["auth", "bearer"]
    token_name: str
    headers: Mapping[str, str]
    transports: Sequence[str]
    timeout: float
    classes: Mapping[str, type[AnyEvent]]
    put: Callable[[AnyEvent], None]
    _socket: Any = None
    _http: Any = None
    _refusal: Json = None
    _answers: set[asyncio.Future[tuple[Json, ...]]] = field(default_factory=set)
    _ended: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def open(self) -> None:
        """Connect, and enter the namespace. See `Link.open`."""
        try:
            import aiohttp
        except ImportError:
            raise ImportError("a client of Socket.IO needs aiohttp: pip install 'asgi_realtime[client]'") from None
        self._http = aiohttp.ClientSession()
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=self._http)
        handlers = {
            "*": self._received,
            "connect": self._connected,
            "connect_error": self._refused,
            "disconnect": self._lost,
        }
        for event, handler in handlers.items():
            self._socket.on(event, handler, namespace=self.namespace)
        bearer = bearer_header(self.auth, self.token_name) if self.token_place == "bearer" else {}
        try:
            await self._socket.connect(
                self.url,
                namespaces=[self.namespace],
                auth={} if bearer else fields_of(self.auth, self.token_name),
                headers=bearer | dict(self.headers),
                transports=list(self.transports),
                socketio_path=urlsplit(self.url).path,
                wait_timeout=self.timeout,
            )
        except socketio.exceptions.ConnectionError as error:
            if isinstance(self._refusal, dict) and "message" in self._refusal:
                data = self._refusal.get("data")
                code = data.get("code") if isinstance(data, dict) else None
                raise Refused(str(self._refusal["message"]), code) from None
            raise NotConnected(str(error)) from error
        except (aiohttp.ClientError, LookupError, TypeError, ValueError) as error:
            # python-socketio raises these for an answer that is cut off, and for a WebSocket that is closed at once.
            raise NotConnected(f"the server did not answer as Socket.IO does: {error!r}") from error

    async def run(self) -> End:
        """Wait until the connection has ended. Events are received by tasks of python-socketio."""
        return await self._ended

    async def send(self, event: str, arguments: tuple[Json, ...]) -> None:
        """Send an event without asking for an acknowledgement. See `Link.send`."""
        await self._emit(event, arguments)

    async def call(self, event: str, arguments: tuple[Json, ...], timeout: float) -> tuple[Json, ...]:
        """Send an event, and wait for the values of its acknowledgement.

        Raises:
            NotConnected: the connection has ended.
            TimeoutError: no acknowledgement came within `timeout` seconds.
        """
        answer: asyncio.Future[tuple[Json, ...]] = asyncio.get_running_loop().create_future()
        self._answers.add(answer)

        def answered(*values: Json) -> None:
            if not answer.done():
                answer.set_result(values)

        try:
            await self._emit(event, arguments, answered)
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise TimeoutError(f"no acknowledgement of {event} within {timeout} s") from None
        finally:
            self._answers.discard(answer)

    async def close(self) -> None:
        """Leave the namespace, and close the connection."""
        if self._socket is None:
            return
        engine = self._socket.eio
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._socket.disconnect()
        finally:
            tasks = [task for task in (engine.read_loop_task, engine.write_loop_task) if task is not None]
            for task in tasks:
                task.cancel()  # over polling they would go on for half a minute
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._http.close()
            self._end(End(None, "closed by the client"))

    async def _emit(self, event: str, arguments: tuple[Json, ...], answered: Any = None) -> None:
        if self._ended.done():
            raise NotConnected("the connection was lost")
        queue = self._socket.eio.queue
        if queue.qsize() >= _MOST_PACKETS:
            try:
                async with asyncio.timeout(self.timeout):
                    await queue.join()
            except TimeoutError:
                raise NotConnected("the server does not read") from None
        try:
            await self._socket.emit(event, arguments, namespace=self.namespace, callback=answered)
        except socketio.exceptions.SocketIOError as error:
            raise NotConnected(str(error)) from None

    def _connected(self) -> None:
        self.put(Connected(False))

    def _received(self, event: str, *arguments: Json) -> None:
        # Not `async`: python-socketio runs a task for each packet, and one that waits would be overtaken.
        kind = self.classes.get(event)
        if kind is None:
            logger.debug("an event that is not declared: %s", event)
        elif kind.arguments == 1:
            self.put(kind(arguments[0] if arguments else None))
        else:
            self.put(kind(arguments))

    def _refused(self, refusal: Json = None) -> None:
        self._refusal = refusal

    def _lost(self, reason: str) -> None:
        self._end(End(None, reason, by_server=reason == self._socket.reason.SERVER_DISCONNECT))

    def _end(self, end: End) -> None:
        if not self._ended.done():
            self._ended.set_result(end)
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(NotConnected("the connection was lost before the answer"))
