"""The events that a client in a test has received, and waits for more."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from asgi_realtime.testing.deadline import real_timeout, within
from asgi_realtime.testing.wire import Closed
from asgi_realtime.values.json import Json

T = TypeVar("T")
Where: TypeAlias = Callable[[Any], bool]
"""Returns whether an event's data is the expected one."""

_SHOWN = 300
"""Characters of an event that a failure shows."""


@dataclasses.dataclass(frozen=True)
class Event:
    """An event that arrived."""

    name: str
    args: tuple[Json, ...] = ()
    answer: Callable[..., None] | None = dataclasses.field(default=None, repr=False, compare=False)
    """Sends an acknowledgement, where the application asked for one."""

    @property
    def data(self) -> Json:
        """The payload: the first argument (gateways send at most one), or None.

        None is also JSON's `null`: `args` is empty where there was no payload.
        """
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
        return shortened(f"{self.name} {', '.join(map(repr, self.args))}".rstrip())


def shortened(text: str) -> str:
    """A text as a failure shows it."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


class Mailbox:
    """Events in the order they came, how the connection ended, and what went wrong."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed: Closed | None = None
        self._untaken: list[Event] = []
        self._error: BaseException | None = None
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        self._untaken.append(event)
        self.wake()

    def end(self, closed: Closed) -> None:
        """The connection has ended."""
        self.closed = closed
        self.wake()

    def fail(self, error: BaseException) -> None:
        """Raise this error in the test, at its next call."""
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Let waiting callers check again."""
        self._news.set()

    def find(self, event: str | None, where: Where | None) -> Event | None:
        """The first event that fits and has not been taken."""
        for each in self._untaken:
            if (event is None or event == each.name) and (where is None or where(each.data)):
                return each
        return None

    def take(self, event: str, where: Where | None) -> Event | None:
        """Find an event and take it."""
        found = self.find(event, where)
        if found is not None:
            # By identity: an equal event that came later keeps its place.
            del self._untaken[next(i for i, each in enumerate(self._untaken) if each is found)]
        return found

    def take_all(self) -> list[Event]:
        """Take all events that have not been taken."""
        taken, self._untaken = self._untaken, []
        return taken

    async def until(self, look: Callable[[], T | None], problem: str, timeout: float) -> T:
        """Wait until `look` finds something, and return it.

        Raises:
            AssertionError: it did not within `timeout` seconds, or the connection has ended.
        """
        if (found := look()) is not None:
            return found
        try:
            async with real_timeout(timeout):
                while (found := look()) is None:
                    self.raise_error()
                    if self.closed is not None:
                        raise AssertionError(f"{problem}: {self}")
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"{problem} {within(timeout)}: {self}") from None

    def raise_error(self) -> None:
        """Raise what went wrong, once."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def __str__(self) -> str:
        lines = [f"{len(self.events)} received, {len(self._untaken)} of them not taken:"]
        lines += [f"  {each}" for each in self._untaken]
        if self.closed is not None:
            lines.append(f"closed: {self.closed.code} {self.closed.reason}".rstrip())
        return "\n".join(lines)
