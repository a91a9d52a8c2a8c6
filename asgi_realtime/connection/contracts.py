"""What a connection needs: a transport to its client, the hub, and the facts that connections of a gateway share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import CLIENT_BYTES, CLIENT_FRAMES
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id
from asgi_realtime.values.json import Json

C = TypeVar("C")
"""The class of the hub's connections: `InternalConnection`. A parameter, because its module imports this one."""
C_contra = TypeVar("C_contra", contravariant=True)

HostCallback: TypeAlias = Callable[[], MaybeAwaitable[Any]]
"""A function of the host. A plain function runs in a thread."""


class AnyConnection(Protocol):
    """A `Connection`, or its form for threads: which client it is."""

    @property
    def id(self) -> ConnectionId:
        """The id of the connection."""

    @property
    def identity(self) -> Identity:
        """The user it belongs to."""

    @property
    def gateway(self) -> GatewayName:
        """The namespace or path."""


class Transport(Protocol):
    """The client's side of a connection."""

    @property
    def outbox(self) -> Outbox:
        """Where frames for the client are pushed. Its `sink_listener` notifies the connection once it is accepted."""

    @property
    def kind(self) -> str:
        """The client's transport now: `polling` or `websocket`."""

    @property
    def answered_at(self) -> float | None:
        """When the last ping was sent that the client has answered (the event loop's clock). None: it is not known."""

    def close(self, code: int, reason: str) -> None:
        """End the connection, after what was pushed; then call the gateway's `disconnected`."""

    def abandon(self) -> None:
        """End the transport at once: the client has come back on another one. Calls the gateway's `disconnected`."""

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt (see `Limits.attempt_rate`). False: it is one too many, and the caller ends the client.

        `budget` is the gateway's.
        """

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """Send an event and wait for the client's answer."""


class Membership(Protocol[C_contra]):
    """The hub, as a connection uses it."""

    async def join(
        self,
        connection: C_contra,
        room: Id,
        parent: Id | None,
        *,
        allowed: HostCallback | None = None,
        latest: str | None = None,
        known: HostCallback | None = None,
        since: str | None = None,
    ) -> None:
        """Put the connection into a room; it receives the room's events from now on. See `Connection.join`."""

    async def leave(self, connection: C_contra, room: Id) -> None:
        """Take the connection out of a room."""

    def remove(self, connection: C_contra) -> None:
        """Remove the connection and its memberships. A second call does nothing."""

    @property
    def thread(self) -> int | None:
        """The thread whose event loop the connections belong to; None: none yet."""

    def check_thread(self) -> None:
        """Refuse a call from another thread.

        Raises:
            RuntimeError: the message says what to call instead.
        """

    def sink_changed(self, connection: C_contra) -> None:
        """The sink of a connection has changed: see `outbound.sink`."""

    def flush(self) -> None:
        """Write the broadcasts that wait for the end of the tick, because something else is about to be written."""


class MountedGateway(Generic[C]):
    """What all connections of one gateway share. Each connection refers to it."""

    __slots__ = ("bytes", "dialect", "frames", "held_bytes", "hub", "name")

    def __init__(
        self, *, name: GatewayName, dialect: Dialect, hub: Membership[C], held_bytes: int, meter: Meter
    ) -> None:
        """`held_bytes` is the most that may wait for one connection while it is held."""
        self.name = name
        self.dialect = dialect
        self.hub = hub
        self.held_bytes = held_bytes
        self.frames = meter.counter(CLIENT_FRAMES) if meter.on else None
        """Counts what is sent to one connection alone. None: nothing does."""
        self.bytes = meter.counter(CLIENT_BYTES)
        """Counts the bytes of that."""
