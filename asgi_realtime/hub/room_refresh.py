"""Calls the host for the rooms that a connection may see, and moves the connection into them."""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.refresh_state import Refresh
from asgi_realtime.errors import BrokerUnavailable, Disconnect
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.hub.subscriptions import UNAVAILABLE
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.host_threads import MOST_SEPARATE, separate_threads
from asgi_realtime.runtime.http_errors import refusal_of
from asgi_realtime.runtime.tasks import HOST_ERRORS, Tasks
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import GatewayName, RoomName, id_from_host

RoomsOf = Callable[[Identity], Awaitable[Mapping[RoomName, RoomName | None]]]
"""Returns the rooms that an identity may see, as the host says: a mapping of each room to its parent, or None."""

UntilSubscribed = Callable[[InternalConnection, Iterable[RoomName]], Awaitable[None] | None]
"""Returns an awaitable that ends when these rooms are subscribed. None: they are already."""

_QUESTIONS = MOST_SEPARATE
"""Most refreshes of a gateway that call the host at the same time, to limit the load on its database."""


class Refresher:
    """Gets rooms from the host, with a bounded number of calls of each gateway at once, and applies the answers.

    From `start` until the answer, nothing is written to the connection. Broadcasts are held, and those to rooms that
    the connection has lost are dropped. If the host fails or is too slow, the connection is refused or closed, so that
    it never receives events of a room that it may not see.
    """

    def __init__(self, tasks: Tasks, until_subscribed: UntilSubscribed) -> None:
        self._tasks = tasks
        self._until_subscribed = until_subscribed
        self._questions: defaultdict[GatewayName, asyncio.Semaphore] = defaultdict(
            functools.partial(asyncio.Semaphore, _QUESTIONS)
        )
        """For each gateway apart, so that the clients of others do not wait while one gateway's host is slow."""
        self._failures = FailureLog()

    def start(self, connection: InternalConnection, rooms: Rooms, rooms_of: RoomsOf, timeout: float) -> Awaitable[None]:
        """Begin in this call. The result may be awaited by any number of callers, and never raises."""
        refresh = connection.refresh
        if refresh is not None:
            refresh.ask_again = True
        else:
            refresh = connection.refresh = Refresh()
            connection.hold()
            work = self._run(connection, refresh, rooms, rooms_of, timeout)
            refresh.task = self._tasks.spawn(work, name="refresh of rooms")
        return asyncio.shield(refresh.done)

    async def enter(self, connection: InternalConnection, rooms: Rooms, rooms_of: RoomsOf, timeout: float) -> None:
        """`start` for a new connection. Raises what the host raised."""
        done = self.start(connection, rooms, rooms_of, timeout)
        refresh = connection.refresh
        assert refresh is not None
        refresh.entering = True
        await done
        if refresh.error is not None:
            raise refresh.error

    def cancel(self, connection: InternalConnection) -> None:
        """Cancel the refresh of a connection that has ended. Callers that await it continue."""
        refresh, connection.refresh = connection.refresh, None
        if refresh is not None and refresh.task is not None:
            refresh.task.cancel()
            refresh.done.set_result(None)

    def repeat(self, connections: Iterable[InternalConnection], change: Callable[[InternalConnection], None]) -> None:
        """Repeat a change after the answer, for those connections whose refresh is running."""
        for connection in connections:
            if connection.refresh is not None:
                connection.refresh.changes.append(functools.partial(change, connection))

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
            for change in refresh.changes:
                change()
        except HOST_ERRORS as error:
            if refresh.entering:
                refresh.error = error
            elif not connection.closed:
                self._end(connection, error)
        finally:
            if connection.refresh is refresh:  # not cancelled
                connection.refresh = None
                connection.release()
                refresh.done.set_result(None)

    async def _ask(
        self, connection: InternalConnection, refresh: Refresh, rooms_of: RoomsOf, timeout: float
    ) -> Mapping[RoomName, RoomName | None]:
        while True:
            refresh.ask_again = False
            async with self._questions[connection.gateway], asyncio.timeout(timeout):
                with separate_threads():  # the refresh may be awaited by a handler that occupies a thread
                    granted = _as_text(await rooms_of(connection.identity))
            waiting = self._until_subscribed(connection, granted)
            if waiting is not None:
                await waiting
            if not refresh.ask_again or connection.closed:
                return granted
            refresh.changes.clear()  # the next answer of the host includes these changes

    def _end(self, connection: InternalConnection, error: BaseException) -> None:
        """Close a connection whose rooms are not known, because the host refused it or failed."""
        meant = refusal_of(error)
        if isinstance(error, BrokerUnavailable):
            connection.end(*UNAVAILABLE)
        elif meant is None:
            about = f"user {connection.identity.user_id!r}"
            what = "the host could not say which rooms a client may see"
            self._failures.failed(connection.gateway, what, error, about=about, connection=connection)
            connection.end(1011, "rooms unavailable")
        elif isinstance(meant, Disconnect):
            connection.end(meant.code, meant.reason)
        else:
            connection.end(1008, meant.message)


def _as_text(rooms: object) -> Mapping[RoomName, RoomName | None]:
    """The host's answer, with each id converted to text, as in broadcasts.

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
