"""Questions of the web console to every process, and what a process answers. Lists come in pages."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId

MOST_ROWS: Final = 200
"""Most rows of a page in the answer of one process."""
MOST_ROW_BYTES: Final = 65_536
"""Characters of the names in such a page. Over: the page ends early, and the rest is on the next one."""
MOST_NAMES: Final = 200
"""Most names of rooms, and of claims, in the details of a connection."""


class LoadOf(msgspec.Struct, frozen=True, tag="load"):
    """How much a process has to do."""


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True, tag="connection_page"):
    """Connections in the order of user id and connection id.

    `search` is what the user id or the connection id begins with. `room`: only its members, and then `search` is what
    the user id begins with. The page begins after `after`, a user id and a connection id.
    """

    gateway: GatewayName
    search: str = ""
    room: RoomName | None = None
    after: tuple[str, str] | None = None
    limit: int = 100


class RoomPage(msgspec.Struct, frozen=True, kw_only=True, tag="room_page"):
    """Rooms in the order of their names, which begin with `search`. The page begins after the name `after`."""

    gateway: GatewayName
    search: str = ""
    after: str = ""
    limit: int = 100


class DetailsOf(msgspec.Struct, frozen=True, tag="details"):
    """What is known of one connection."""

    gateway: GatewayName
    connection_id: ConnectionId


Inspection: TypeAlias = LoadOf | ConnectionPage | RoomPage | DetailsOf
"""What the console asks."""


class GatewayCounts(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway has in one process."""

    connections: int
    rooms: int
    users: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much a process has to do. Times are in seconds, sizes in bytes."""

    version: str
    """The version of this package."""
    host: str
    """The name of the machine."""
    pid: int
    uptime: float
    """Time since the app was made."""
    cpu: float
    """Processor time that the process has used so far."""
    memory: int | None
    """Resident memory. None: the system does not say it."""
    lag: float | None
    """By how much the event loop was late when it was measured last. None: not measured yet."""
    tasks: int
    """Tasks that this package runs."""
    waiting: int
    """What waits for clients in all outboxes."""
    gateways: dict[GatewayName, GatewayCounts] = {}


class ConnectionRow(msgspec.Struct, frozen=True, array_like=True):
    """A connection in a list."""

    user_id: UserId
    id: ConnectionId
    transport: str
    """`websocket` or `polling`."""
    address: str
    rooms: int
    waiting: int
    """Bytes that wait for the client."""


class RoomRow(msgspec.Struct, frozen=True, array_like=True):
    """A room in a list, with the number of its members in one process."""

    name: RoomName
    members: int


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One connection. It has nothing in it that authenticates a client."""

    user_id: UserId
    id: ConnectionId
    transport: str
    address: str
    path: str
    rooms: tuple[RoomName, ...]
    """At most `MOST_NAMES`, in order."""
    room_count: int
    claims: tuple[str, ...]
    """The names of the claims, at most `MOST_NAMES`. Their values stay in the process."""
    expires_at: float | None
    """When the credential expires, in seconds since the epoch. None: never."""
    waiting: int
    behind: bool
    """Whether it reads so slowly that volatile events are dropped for it."""
    silent: float | None
    """Seconds since the last ping was sent that it has answered. None: not known."""
