"""A client that returns after a loss: what those of Socket.IO and JSON gateways have in common."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from asgi_realtime.client.errors import ClientError, Closed, NotConnected, Refused
from asgi_realtime.client.events import AnyEvent, Connected, Event, Missed
from asgi_realtime.client.link import Auth, End, Given, Link, given
from asgi_realtime.client.received_events import ReceivedEvents
from asgi_realtime.client.reconnection import Reconnection
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.values.field_types import is_positive

logger = logging.getLogger("asgi_realtime.client")

E = TypeVar("E", bound=AnyEvent)
L = TypeVar("L", bound=Link)
T = TypeVar("T")

_COME_BACK = ("INTERNAL", "RATE_LIMITED", 408, 425, 429, 1001, 1011, 1012, 1013, 1014)
"""Codes of refusals that another attempt may not get: of gateways, of HTTP, and of a WebSocket that was closed."""


class Client(abc.ABC, Generic[E, L]):
    """One client of a gateway. `async with` connects it and closes it.

    `async for` gives every event, in the order in which they came; `expect` takes one. Both take from one queue.
    """

    events: ClassVar[Sequence[type[AnyEvent]]] = ()
    """The events that the gateway declares. Others, which a newer server may send, are ignored."""

    def __init__(
        self,
        *,
        auth: Given[Auth] | None,
        headers: Given[Mapping[str, str]] | None,
        timeout: float,
        max_events: int,
        reconnection: Reconnection | None,
    ) -> None:
        if not is_positive(timeout):
            raise ValueError(f"timeout={timeout!r}: it must be a finite number of seconds above 0")
        self._auth = auth
        self._headers = headers
        self._timeout = timeout
        self._received = ReceivedEvents(max_events)
        self._reconnection = reconnection
        self._classes = {event.name: event for event in self.events}
        self._link: L | None = None
        self._opening: L | None = None
        self._running: asyncio.Task[None] | None = None
        self._began = False
        self._closing = False

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, once. What `async with` does. A failure is raised; only later losses are followed by attempts.

        Raises:
            NotConnected: the server could not be reached, or did not answer in time.
            Refused: the server refused the client.
            RuntimeError: it was connected, or closed, before.
        """
        if self._began or self._closing:
            raise RuntimeError("a client connects once: make another one")
        self._began = True
        try:
            link = await self._open()
        except BaseException:
            self._began = False
            raise
        self._running = new_task(self._run(link), name=type(self).__name__)

    async def close(self) -> None:
        """Disconnect. Events that were received can still be taken."""
        # `asyncio.wait_for` of Python 3.11, which python-socketio uses, may swallow the cancellation.
        self._closing = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            if self._opening is not None:  # a task that is cancelled before its first step closes nothing
                await self._opening.close()
        self._received.end(None)

    async def expect(
        self, event: type[Event[T]], *, where: Callable[[T], bool] | None = None, timeout: float = 5.0
    ) -> T:
        """Take the first event of a class (whose data fits `where`), and return its data. Other events stay.

        `Connected` and `Missed` can be expected too.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            Closed: the server has ended the connection.
            Refused: the client has tried to return, and was refused.
        """
        return await self._received.take(event, where, timeout)

    def __aiter__(self) -> AsyncIterator[E | Connected | Missed]:
        return self

    async def __anext__(self) -> E | Connected | Missed:
        event: E | Connected | Missed = cast("Any", await self._received.next())
        return event

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    # What the generated classes use

    def _current(self) -> L:
        if self._link is None:
            self._received.check()
            raise NotConnected("not connected now")
        return self._link

    # One connection after another

    @abc.abstractmethod
    def _new_link(self, auth: Auth | None, headers: Mapping[str, str]) -> L:
        """A link that is not open yet."""

    async def _open(self) -> L:
        try:
            auth: Auth | None = None
            headers: Mapping[str, str] = {}
            async with asyncio.timeout(self._timeout):
                if self._auth is not None:
                    auth = await given(self._auth)
                if self._headers is not None:
                    headers = await given(self._headers)
        except Exception as error:
            raise NotConnected(f"no credentials: {error!r}") from error
        link = self._opening = self._new_link(auth, headers)
        try:
            async with asyncio.timeout(self._timeout):
                await link.open()
        except BaseException as error:
            self._link = None
            await link.close()
            if isinstance(error, TimeoutError):
                raise NotConnected(f"the server did not answer within {self._timeout} s") from None
            raise
        return link

    def _receive(self, event: AnyEvent) -> None:
        """Take what a link has received."""
        if isinstance(event, Connected):
            self._link = self._opening  # from here on it sends, also before `open` returns
        self._received.put(event)

    async def _run(self, link: L) -> None:
        """Receive, and connect again after each loss, until the client ends."""
        attempts = 0
        try:
            while not self._closing:
                began = asyncio.get_running_loop().time()
                end = await link.run()
                self._link = None
                await link.close()
                if self._reconnection is None or not self._may_return(end):
                    raise Closed(end.code, end.reason)
                if asyncio.get_running_loop().time() - began > self._reconnection.longest_delay:
                    attempts = 0
                link, attempts = await self._return(self._reconnection, attempts)
        except Exception as error:
            if not isinstance(error, ClientError):
                logger.exception("a client has failed")
            self._received.end(error)
        finally:
            self._link = None
            await link.close()

    def _may_return(self, end: End) -> bool:
        """1000 is for good. 1008 is so for these credentials, but a function may return newer ones."""
        return not end.by_server or (end.code != 1000 and (callable(self._auth) or callable(self._headers)))

    async def _return(self, reconnection: Reconnection, attempts: int) -> tuple[L, int]:
        while not self._closing and (delay := reconnection.delay(attempts)) is not None:
            attempts += 1
            await asyncio.sleep(delay)
            try:
                return await self._open(), attempts
            except NotConnected as error:
                logger.info("attempt %d to return has failed: %s", attempts, error)
            except Refused as refusal:
                if refusal.code not in _COME_BACK:
                    raise
                logger.info("attempt %d to return has failed: %s", attempts, refusal)
        raise Closed(None, f"given up after {attempts} attempts to return")
