"""The pending acknowledgements of a client, and reading ahead for them.

A client's acknowledgement arrives behind the events that it sent before. While many events of a client wait for
their handlers, its transport is not read; a handler that waits for an acknowledgement would then wait forever. So a
transport is read on while an acknowledgement is pending in any namespace. The events that arrive in this time
are limited (`Limits.events_behind_call`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_realtime.errors import NoAnswer
from asgi_realtime.values.json import Json

ACK_SECONDS = 60.0
"""Seconds for which a transport is read on for an acknowledgement that no `call` waits for. The default timeout of
python-socketio's `call`."""


class PendingAcks:
    """The pending acknowledgements of one client in one namespace. Most clients never have one."""

    __slots__ = ("_callbacks", "_futures", "_received", "bytes_ahead", "next_id")

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[list[Json]], None]] = {}
        self._futures: dict[int, asyncio.Future[list[Json]]] = {}
        self._received = 0
        self.next_id = 0
        """The id for the next event that asks for an acknowledgement."""
        self.bytes_ahead = 0
        """Bytes of the events that were read ahead since fewer than `Limits.events_in_flight` events waited."""

    def __len__(self) -> int:
        """How many acknowledgements are pending."""
        return len(self._callbacks)

    def expect(self, callback: Callable[[list[Json]], None], most: int) -> None:
        """An event with the id `next_id` is sent: call `callback` with its acknowledgement.

        If there are `most` pending ones, the oldest is dropped.
        """
        if len(self._callbacks) >= most:
            del self._callbacks[next(iter(self._callbacks))]
        self._callbacks[self.next_id] = callback
        self.next_id += 1

    async def wait(self, ack_id: int, answer: asyncio.Future[list[Json]], timeout: float) -> list[Json]:
        """Wait for a future that a callback sets. Afterwards the acknowledgement is no longer pending.

        Raises:
            TimeoutError: after `timeout` seconds.
            ConnectionError: if the client has disconnected.
        """
        self._futures[ack_id] = answer
        try:
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            self._callbacks.pop(ack_id, None)
            self._futures.pop(ack_id, None)

    def settle(self, ack_id: int, values: list[Json]) -> bool:
        """Take an acknowledgement. False: it is not pending. It may be late."""
        callback = self._callbacks.pop(ack_id, None)
        self._received += 1
        if callback is None:
            return False
        callback(values)
        return True

    @property
    def exceeded(self) -> bool:
        """Whether the client has sent more acknowledgements than were asked for."""
        return self._received > self.next_id

    def fail(self) -> None:
        """The client has disconnected: drop the callbacks, and raise `NoAnswer` in every `wait`."""
        self._callbacks.clear()
        for answer in self._futures.values():
            if not answer.done():
                answer.set_exception(NoAnswer("the client is gone"))


class ReadAhead:
    """The state of a transport that is read on because acknowledgements are pending."""

    __slots__ = ("bytes_incomplete", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        """When reading ahead ends, by the loop's clock, if the acknowledgements have not come."""
        self.bytes_incomplete = 0
        """Bytes of a packet whose attachments have not all come."""
