"""The events that a client has received and its program has not taken yet. A queue with a limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from asgi_realtime.client.events import AnyEvent, Connected, Event, Missed

T = TypeVar("T")


class ReceivedEvents:
    """At most `limit` events, in the order in which they came. One more drops the oldest one, which is counted.

    Raises:
        ValueError: for a limit below 1.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"max_events={limit}: a client keeps at least one event")
        self._events: deque[AnyEvent] = deque()
        self._limit = limit
        self._missed = 0
        self._connected: Connected | None = None
        self._ended = False
        self._error: Exception | None = None
        self._traceback: TracebackType | None = None
        self._changed = asyncio.Event()

    def put(self, event: AnyEvent) -> None:
        """Keep an event."""
        if len(self._events) >= self._limit:
            self._drop(self._events.popleft())
        self._events.append(event)
        self._changed.set()

    def end(self, error: Exception | None) -> None:
        """No event follows. `error` is raised once the program has taken all events. None: it ended the client.

        A second call does nothing.
        """
        if not self._ended:
            self._ended, self._error = True, error
            self._traceback = None if error is None else error.__traceback__
            self._changed.set()

    def check(self) -> None:
        """Raise the error that has ended the client, if one has."""
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)  # which would grow with each call

    async def next(self) -> AnyEvent:
        """Wait for the oldest event and take it.

        Raises:
            StopAsyncIteration: the program has ended the client.
            Exception: what else has ended it.
        """
        while (found := self._find(Event, None)) is None:
            if self._ended:
                self.check()
                raise StopAsyncIteration
            await self._change()
        return found

    async def take(self, kind: type[Event[T]], where: Callable[[T], bool] | None, timeout: float) -> T:
        """Wait for the first event of a class whose data fits, and take it. The others stay, in their order.

        Raises:
            TimeoutError: none came within `timeout` seconds. The message names the events that have come.
            Exception: what has ended the client.
        """
        try:
            async with asyncio.timeout(timeout):
                while (found := self._find(kind, where)) is None:
                    if self._ended:
                        self.check()
                        raise TimeoutError  # the program has ended the client
                    await self._change()
                return found.data
        except TimeoutError:
            raise TimeoutError(self._problem(kind, timeout)) from None

    def _find(self, kind: type[Event[T]], where: Callable[[T], bool] | None) -> Event[T] | None:
        """Take the first event that fits. What stands for dropped events comes first."""

        def fits(event: AnyEvent) -> bool:
            return isinstance(event, kind) and (where is None or where(event.data))

        found: AnyEvent
        if self._missed and fits(found := Missed(self._missed)):
            self._missed = 0
            return found
        if self._connected is not None and fits(found := self._connected):
            self._connected = None
            return found
        for place, found in enumerate(self._events):
            if fits(found):
                del self._events[place]
                return found
        return None

    def _drop(self, event: AnyEvent) -> None:
        if isinstance(event, Connected):  # the program must join its rooms all the same
            earlier = self._connected is None or self._connected.recovered
            self._connected = Connected(earlier and event.recovered)
        else:
            self._missed += 1

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _problem(self, kind: type[Event[Any]], timeout: float) -> str:
        there = ", ".join(dict.fromkeys(event.name for event in self._events)) or "none"
        dropped = f"; {self._missed} events were dropped" if self._missed else ""
        return f"no {kind.name} that fits within {timeout} s; events that were not taken: {there}{dropped}"
