"""One client of a gateway, in a test."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from asgi_realtime.testing.deadline import real_timeout, within
from asgi_realtime.testing.mailbox import Event, Mailbox, Where
from asgi_realtime.testing.wire import ABNORMAL, Closed, Wire, WireRefused
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from asgi_realtime.connection.connection import Connection

T = TypeVar("T")


class ConnectionRefused(Exception):
    """The application did not let the client in.

    From a gateway: the `message` and `data` that the client received, and how a JSON WebSocket was
    `closed`. Where the transport itself was refused (a foreign origin, say): `status`, and the text
    of the response as the message.
    """

    def __init__(
        self, message: str, *, data: Json = None, status: int | None = None, closed: Closed | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.status = status
        self.closed = closed


class Socket(abc.ABC):
    """A client of one gateway: what `RealtimeTestClient.connect` gives.

    `expect` takes the first event that fits and has not been taken, and leaves the others for
    later: events may be expected in another order than they came in.
    """

    def __init__(
        self,
        gateway: str,
        *,
        timeout: float,
        settle: Callable[[], Awaitable[None]],
        find: Callable[[], Connection | None],
    ) -> None:
        self.gateway = gateway
        self.wire: Wire
        self._mailbox = Mailbox()
        self._timeout = timeout
        self._settle = settle
        self._find = find

    @abc.abstractmethod
    async def send(self, event: str, *args: Any, **fields: Any) -> None:
        """Send an event, with its payload if it has one. None is a payload: JSON's `null`.

        A Socket.IO event takes any number of arguments; a JSON frame takes one, and `fields` beside it.
        """

    @abc.abstractmethod
    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Send an event and return its acknowledgement: the value, a list of several, or None for none.

        Socket.IO only.

        Raises:
            AssertionError: there was none within `timeout` seconds.
        """

    async def send_raw(self, message: str | bytes) -> None:
        """Send a message as it is: an Engine.IO packet, or a frame of a JSON gateway."""
        self.wire.send(message)

    async def expect(self, event: str, *, where: Where | None = None, timeout: float | None = None) -> Event:
        """Wait for an event (whose data fits `where`), take it, and return it.

        Raises:
            AssertionError: it did not come within `timeout` seconds, or the connection ended; says what came.
        """
        problem = f"no {event}" if where is None else f"no {event} that fits"
        return await self._until(lambda: self._mailbox.take(event, where), problem, timeout)

    async def expect_nothing(self, event: str | None = None, *, where: Where | None = None) -> None:
        """Check that no such event (without a name: none at all) is here untaken, or on its way.

        It does not wait for a fixed time, but until the application has handled everything that was sent; see
        `RealtimeTestClient.settle`.

        Raises:
            AssertionError: there is one.
        """
        await self._settle()
        self._mailbox.raise_error()
        found = self._mailbox.find(event, where)
        if found is not None:
            raise AssertionError(f"unexpected: {found}")

    async def take_all(self) -> list[Event]:
        """Take all events that were not taken yet, and return them in the order in which they came.

        First waits until the app has handled everything that it was sent; see `RealtimeTestClient.settle`.
        """
        await self._settle()
        self._mailbox.raise_error()
        return self._mailbox.take_all()

    async def expect_closed(self, *, timeout: float | None = None) -> Closed:
        """Wait until the application has closed the connection, and return how.

        Raises:
            AssertionError: it did not within `timeout` seconds.
        """
        return await self._until(lambda: self.closed, "still open", timeout)

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything received, in order, taken or not."""
        return tuple(self._mailbox.events)

    @property
    def closed(self) -> Closed | None:
        """How the connection ended; None while it lives."""
        return self._mailbox.closed

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
        """Disconnect as a client normally does. Returns when the application has ended the transport."""
        await self._end(1000)

    async def drop(self) -> None:
        """End without a close, as if the network was lost."""
        await self._end(ABNORMAL)

    # What the client and the wire call

    async def open(self, auth: Json) -> None:
        """Connect the transport, and enter the gateway.

        Raises:
            ConnectionRefused: the application refused either.
        """
        try:
            async with real_timeout(self._timeout):
                await self.wire.open()
        except WireRefused as refused:
            raise ConnectionRefused(refused.body.decode("utf-8", "replace"), status=refused.status) from None
        except TimeoutError:
            raise AssertionError(f"the application did not answer {within(self._timeout)}") from None
        await self._enter(auth)

    def received(self, message: str | bytes) -> None:
        """Take a message from the wire."""
        try:
            self._receive(message)
        except Exception as error:
            self._mailbox.fail(error)  # raised here it would reach the application's `send`

    def ended(self, closed: Closed, error: BaseException | None) -> None:
        """The wire has ended."""
        self._mailbox.end(closed)
        if error is not None:
            self._mailbox.fail(error)

    @abc.abstractmethod
    async def _enter(self, auth: Json) -> None:
        """Enter the gateway, on an open wire."""

    @abc.abstractmethod
    def _receive(self, message: str | bytes) -> None:
        """Decode a message."""

    async def _end(self, code: int) -> None:
        try:
            async with real_timeout(self._timeout):
                await self.wire.close(code)
        except TimeoutError:
            raise AssertionError(f"the application did not end a closed connection {within(self._timeout)}") from None
        self._mailbox.raise_error()

    async def _until(self, look: Callable[[], T | None], problem: str, timeout: float | None) -> T:
        return await self._mailbox.until(look, problem, self._timeout if timeout is None else timeout)
