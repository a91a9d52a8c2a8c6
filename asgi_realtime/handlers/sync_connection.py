"""A connection for threads: what plain handlers and plain hooks get."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Any

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.connection.contracts import HostCallback
from asgi_realtime.runtime.host_calls import ToSync, is_coroutine_function
from asgi_realtime.runtime.host_code import AroundHostCode, wrapped
from asgi_realtime.runtime.host_threads import call_for_future, separate_threads
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.runtime.sync_proxy import SyncProxy, sync_method
from asgi_realtime.runtime.waiting_thread import WaitingThread
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id, RoomName


class SyncConnection(SyncProxy[Connection]):
    """`Connection` for threads: each method waits until the event loop has done the work.

    Plain handlers and hooks (`def`, not `async def`) get it, whether they annotate `Connection` or
    `SyncConnection`. It is equal to the `Connection` that it stands for, and has the same hash.

    Calls on the event loop's own thread would deadlock, so they raise `RuntimeError`. So do calls after the gateway
    has stopped.
    """

    __slots__ = ("_around", "_timeout")

    def __init__(
        self, connection: Connection, loop_bridge: LoopBridge, timeout: float, around: AroundHostCode | None
    ) -> None:
        """Stand for a connection.

        Args:
            connection: the connection.
            loop_bridge: runs its coroutines.
            timeout: the longest time that `join` waits, in seconds, because a thread cannot be cancelled.
            around: what a framework does around the async callbacks of `join`.
        """
        super().__init__(connection, loop_bridge)
        self._timeout = timeout
        self._around = around

    def __repr__(self) -> str:
        return f"<Sync{repr(self._target)[1:]}"

    def __eq__(self, other: object) -> bool:
        return self._target is (other._target if isinstance(other, SyncConnection) else other)

    def __hash__(self) -> int:
        return hash(self._target)

    @property
    def id(self) -> ConnectionId:
        """The id of the connection, for `except_` among others."""
        return self._target.id

    @property
    def identity(self) -> Identity:
        """The user it belongs to."""
        return self._target.identity

    @property
    def gateway(self) -> GatewayName:
        """The namespace or path."""
        return self._target.gateway

    @property
    def handshake(self) -> Handshake:
        """What the client presented. The headers, cookies and `auth` are dropped when `on_connect` has returned."""
        return self._target.handshake

    @property
    def rooms(self) -> AbstractSet[RoomName]:
        """The rooms it is in now, as a copy."""
        return frozenset(self._target.rooms)

    @property
    def state(self) -> Any:
        """For the gateway: what belongs to this connection. The same object as `Connection.state`."""
        return self._target.state

    @state.setter
    def state(self, value: Any) -> None:
        self._target.state = value

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._target.closed

    @property
    def recovered(self) -> bool:
        """See `Connection.recovered`."""
        return self._target.recovered

    @property
    def behind(self) -> bool:
        """Whether the client reads so slowly that volatile events should be dropped."""
        return self._target.behind

    send = sync_method(Connection.send)
    call = sync_method(Connection.call)
    leave = sync_method(Connection.leave)
    close = sync_method(Connection.close)

    def join(
        self,
        room: Id,
        *,
        parent: Id | None = None,
        allowed: HostCallback | None = None,
        latest: str | None = None,
        known: HostCallback | None = None,
        since: str | None = None,
    ) -> None:
        """See `Connection.join`. Plain functions as `allowed` and `known` are called in this thread.

        Raises:
            TimeoutError: it took longer than `Limits.handler_timeout`.
        """
        thread = WaitingThread()

        async def join() -> None:
            async with asyncio.timeout(self._timeout):
                await self._target.join(
                    room,
                    parent=parent,
                    allowed=self._callback_in(thread, allowed),
                    latest=latest,
                    known=self._callback_in(thread, known),
                    since=since,
                )

        self._loop_bridge.run(join(), thread)

    def _callback_in(self, thread: WaitingThread, callback: HostCallback | None) -> Callable[[], Awaitable[Any]] | None:
        """The callback as a coroutine function, which calls a plain callback in the thread."""
        if callback is None:
            return None

        async def call() -> Any:
            if is_coroutine_function(callback):
                result = callback()
            else:
                result = await asyncio.get_running_loop().run_in_executor(thread, call_for_future, callback)
                if not inspect.isawaitable(result):
                    return result
            with separate_threads():  # for plain functions that it awaits: this handler occupies a thread
                return await wrapped(self._around, _await)(result)

        return call


async def _await(result: Awaitable[Any]) -> Any:
    return await result


def sync_converter(
    broadcaster: Broadcaster, loop_bridge: LoopBridge, timeout: float, around: AroundHostCode | None
) -> ToSync:
    """Make a function that converts a gateway's connections and broadcaster to their form for threads."""
    sync = broadcaster.sync

    def to_sync(argument: Any) -> Any:
        if isinstance(argument, Connection):
            return SyncConnection(argument, loop_bridge, timeout, around)
        return sync if argument is broadcaster else argument

    return to_sync
