"""Asking the host which rooms a connection may see, while the world goes on."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.refresh import Refresh
from asgi_realtime.errors import BrokerUnavailable, Disconnect
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.hub.subscriptions import UNAVAILABLE
from asgi_realtime.runtime.http_errors import refusal_of
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import RoomName, id_from_host

logger = logging.getLogger("asgi_realtime")

RoomsOf = Callable[[Identity], Awaitable[Mapping[RoomName, RoomName | None]]]
"""Asks the host which rooms an identity may see: room to the room it lies below, or None."""

Standing = Callable[[InternalConnection, Iterable[RoomName]], Awaitable[None] | None]
"""What to await until everything published to these rooms is delivered here. None: it is."""

_QUESTIONS = 16
"""Questions put to the host at once: its database has other work too."""


class Refresher:
    """Puts the questions, a bounded number at a time, and carries out the answers.

    From `start` until the answer nothing is written to the connection: broadcasts are held, and
    those to rooms it turns out to have lost are dropped. A host that fails or is too slow costs the
    connection, never the secrecy of a room: it is not let in, or is ended.
    """

    def __init__(self, tasks: Tasks, standing: Standing) -> None:
        self._tasks = tasks
        self._standing = standing
        self._questions = asyncio.Semaphore(_QUESTIONS)

    def start(self, connection: InternalConnection, rooms: Rooms, rooms_of: RoomsOf, timeout: float) -> Awaitable[None]:
        """Begin in this call; the result is awaitable by any number of waiters and never raises."""
        refresh = connection.refresh
        if refresh is not None:
            refresh.again = True
        else:
            refresh = connection.refresh = Refresh()
            connection.hold()
            work = self._run(connection, refresh, rooms, rooms_of, timeout)
            refresh.task = self._tasks.spawn(work, name="refresh of rooms")
        return asyncio.shield(refresh.done)

    async def enter(self, connection: InternalConnection, rooms: Rooms, rooms_of: RoomsOf, timeout: float) -> None:
        """`start` for a connection that is being let in. Raises what the host raised."""
        done = self.start(connection, rooms, rooms_of, timeout)
        refresh = connection.refresh
        assert refresh is not None
        refresh.entering = True
        await done
        if refresh.error is not None:
            raise refresh.error

    def cancel(self, connection: InternalConnection) -> None:
        """Forget the question about a connection that is gone. Those who wait for it go on."""
        refresh, connection.refresh = connection.refresh, None
        if refresh is not None and refresh.task is not None:
            refresh.task.cancel()
            refresh.done.set_result(None)

    def missed(self, connections: Iterable[InternalConnection], change: Callable[[InternalConnection], None]) -> None:
        """Have a change made once more to those connections whose question is under way."""
        for connection in connections:
            if connection.refresh is not None:
                connection.refresh.missed.append(functools.partial(change, connection))

    async def _run(
        self, connection: InternalConnection, refresh: Refresh, rooms: Rooms, rooms_of: RoomsOf, timeout: float
    ) -> None:
        try:
            granted = await self._ask(connection, refresh, rooms_of, timeout)
            for room in connection.granted - granted.keys():
                rooms.leave(connection, room)
            for room, parent in granted.items():
                rooms.join(connection, room, parent)
            connection.granted = frozenset(granted)
            for change in refresh.missed:
                change()
        except (Exception, asyncio.CancelledError) as error:
            if refresh.entering:
                refresh.error = error
            elif not connection.closed:
                _end(connection, error)
        finally:
            if connection.refresh is refresh:  # not cancelled
                connection.refresh = None
                connection.release()
                refresh.done.set_result(None)

    async def _ask(
        self, connection: InternalConnection, refresh: Refresh, rooms_of: RoomsOf, timeout: float
    ) -> Mapping[RoomName, RoomName | None]:
        while True:
            refresh.again = False
            async with self._questions, asyncio.timeout(timeout):
                granted = _as_text(await rooms_of(connection.identity))
            waiting = self._standing(connection, granted)
            if waiting is not None:
                await waiting
            if not refresh.again or connection.closed:
                return granted
            refresh.missed.clear()  # the host had made these changes before the next question


def _end(connection: InternalConnection, error: BaseException) -> None:
    """End a connection whose rooms are not known: the host refused it, or failed."""
    meant = refusal_of(error)
    if isinstance(error, BrokerUnavailable):
        connection.end(*UNAVAILABLE)
    elif meant is None:
        logger.error("%r: the host could not say which rooms it may see: %r", connection, error)
        connection.end(1011, "rooms unavailable")
    elif isinstance(meant, Disconnect):
        connection.end(meant.code, meant.reason)
    else:
        connection.end(1008, meant.message)


def _as_text(rooms: object) -> Mapping[RoomName, RoomName | None]:
    """What the host answered, with each id as its text: a room that is a number is one that broadcasts reach.

    Raises:
        TypeError: for an answer of another form.
    """
    if not isinstance(rooms, Mapping):
        raise TypeError(
            f"rooms_of must return a mapping of rooms to the room above or None, not {type(rooms).__name__}"
        )
    return {
        RoomName(id_from_host(room, "a room of rooms_of")): None
        if parent is None
        else RoomName(id_from_host(parent, "a parent room of rooms_of"))
        for room, parent in rooms.items()
    }
