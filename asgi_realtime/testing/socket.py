"""One client connection in a test: what was received, and waiting for it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from asgi_realtime.messages import Json
from asgi_realtime.testing.wires import ABNORMAL, Closed, Wire

if TYPE_CHECKING:
    from asgi_realtime.connection import Connection

T = TypeVar("T")
_SHOWN = 300
"""Characters of an event's data that a failure shows."""


class ConnectionRefused(Exception):
    """The application did not let the client in.

    From a Socket.IO gateway: `message` and `data` of the `connect_error`. Where the transport itself
    was refused (a foreign origin, an unknown path): `status`, and the text of the response.
    """

    def __init__(self, message: str, *, data: Json = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.status = status


@dataclasses.dataclass(frozen=True)
class Event:
    """An event that arrived. `data` is its first argument: gateways send at most one."""

    name: str
    args: tuple[Json, ...] = ()
    answer: Callable[..., None] | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def data(self) -> Json:
        """The payload, or None."""
        return self.args[0] if self.args else None

    async def acknowledge(self, *values: Any) -> None:
        """Answer a `connection.call(...)` of the application.

        Raises:
            RuntimeError: the application did not ask for an answer.
        """
        if self.answer is None:
            raise RuntimeError(f"{self.name} was sent without asking for an answer")
        self.answer(*values)

    def __str__(self) -> str:
        text = f"{self.name} {', '.join(map(repr, self.args))}"
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


class Socket:
    """A client of one gateway. Get one from `RealtimeTestClient.connect`.

    Every event that arrives is kept in `events`, in order. `expect` takes the first one that fits
    and has not been taken, and leaves the others for later: two events may be expected in either
    order.
    """

    def __init__(
        self, *, timeout: float, settle: Callable[[], Awaitable[None]], find: Callable[[], Connection | None]
    ) -> None:
        self.events: list[Event] = []
        """Everything received, in order."""
        self.closed: Closed | None = None
        """How the connection ended; None while it lives."""
        self.wire: Wire
        self._untaken: list[Event] = []
        self._timeout = timeout
        self._settle = settle
        self._find = find
        self._error: BaseException | None = None
        self._news = asyncio.Event()

    # What a test does

    async def send(self, event: str, *args: Any) -> None:
        """Send an event, with its payload if it has one."""
        raise NotImplementedError

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Send an event and return its acknowledgement: the value, a list of several, or None.

        Raises:
            AssertionError: there was none in time.
        """
        raise NotImplementedError

    async def send_raw(self, message: str | bytes) -> None:
        """Send a message as it is: an Engine.IO packet, or a text frame of a JSON gateway."""
        self.wire.send(message)

    async def expect(
        self, event: str, *, where: Callable[[Any], bool] | None = None, timeout: float | None = None
    ) -> Event:
        """Wait for an event (whose data fits `where`), take it, and return it.

        Raises:
            AssertionError: it did not come within `timeout` seconds, or the connection ended; says what came.
        """
        return await self._until(lambda: self._take(event, where), timeout, lambda: f"no {event}{_suffix(where)}")

    async def expect_nothing(self, event: str | None = None, *, where: Callable[[Any], bool] | None = None) -> None:
        """Check that no such event (or none at all) is there that was not taken, nor on its way.

        Does not wait for a time: it waits until the application has handled everything it was sent
        (`RealtimeTestClient.settle`), and looks.

        Raises:
            AssertionError: there is one.
        """
        await self._settle()
        self._raise_error()
        for each in self._untaken:
            if event in (None, each.name) and (where is None or where(each.data)):
                raise AssertionError(f"unexpected: {each}")

    async def expect_closed(self, *, timeout: float | None = None) -> Closed:
        """Wait until the application has closed the connection; how it did.

        Raises:
            AssertionError: it did not within `timeout` seconds.
        """
        return await self._until(lambda: self.closed, timeout, lambda: "still open")

    @property
    def connection(self) -> Connection:
        """The application's side of this socket.

        Raises:
            LookupError: the application has no such connection (yet, or any more).
        """
        connection = self._find()
        if connection is None:
            raise LookupError("the application has no connection for this socket")
        return connection

    @property
    def rooms(self) -> set[str]:
        """The rooms this client is in, as the application sees it. Empty once it is gone."""
        connection = self._find()
        return set() if connection is None else set(connection.rooms)

    async def close(self) -> None:
        """Leave, as a client does that is closed. Returns when the application is done with it."""
        await self._end(1000)

    async def drop(self) -> None:
        """End without a word, as when the network is lost."""
        await self._end(ABNORMAL)

    # What the wire and the client do

    async def open(self, auth: Json) -> None:
        """Connect the transport, and enter the gateway."""
        raise NotImplementedError

    def take(self, message: str | bytes) -> None:
        """Make sense of a message."""
        raise NotImplementedError

    def received(self, message: str | bytes) -> None:
        """Take a message from the wire."""
        try:
            self.take(message)
        except Exception as error:
            # Raised here it would reach the application's `send`; it is for the test.
            self._error = error
            self._news.set()

    def ended(self, closed: Closed, error: BaseException | None) -> None:
        """The wire has ended."""
        if self.closed is None:
            self.closed = closed
        self._error = error
        self._news.set()

    def arrived(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        self._untaken.append(event)
        self._news.set()

    async def _end(self, code: int) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self.wire.close(code)
        except TimeoutError:
            raise AssertionError(
                f"the application was not done with a closed connection after {self._timeout} s"
            ) from None
        self._raise_error()

    async def _until(self, found: Callable[[], T | None], timeout: float | None, problem: Callable[[], str]) -> T:
        """Wait for something to be found among what has arrived."""
        timeout = self._timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(timeout):
                while (result := found()) is None:
                    self._raise_error()
                    if self.closed is not None:
                        raise AssertionError(f"{problem()}: {self._describe()}")
                    self._news.clear()
                    await self._news.wait()
                return result
        except TimeoutError:
            raise AssertionError(f"{problem()} within {timeout} s: {self._describe()}") from None

    def _take(self, event: str, where: Callable[[Any], bool] | None) -> Event | None:
        for index, each in enumerate(self._untaken):
            if each.name == event and (where is None or where(each.data)):
                return self._untaken.pop(index)
        return None

    def _describe(self) -> str:
        lines = [f"{len(self.events)} received, {len(self._untaken)} of them not taken:"]
        lines += [f"  {each}" for each in self._untaken]
        if self.closed is not None:
            lines.append(f"closed: {self.closed.code} {self.closed.reason}".rstrip())
        return "\n".join(lines)

    def _raise_error(self) -> None:
        """Raise what the application raised, once, in the test."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def _suffix(where: Callable[[Any], bool] | None) -> str:
    return "" if where is None else " that fits"
