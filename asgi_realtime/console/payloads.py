"""The events of the console and their payloads. Fields are in camelCase on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from asgi_realtime.gateways.replies import ErrorMessage
from asgi_realtime.values.inspections import Details, GatewayCounts
from asgi_realtime.values.publications import Target

Recipients: TypeAlias = Literal["room", "user", "users", "all"]

ROWS: Final = 100
"""Rows of a page of a list."""
MOST_ROWS: Final = 1_000
"""Most rows that a request may ask for."""
MOST_NAMES: Final = 100
"""Most names in a request."""
Names: TypeAlias = Annotated[tuple[str, ...], Meta(max_length=MOST_NAMES)]


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every event of the page has: the number that its answer repeats."""

    ref: int


class GatewayRequest(Request, frozen=True, kw_only=True, rename="camel"):
    """A request about one gateway."""

    gateway: str


class ConnectionsRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """A page of connections; see `ConnectionPage`."""

    search: str = ""
    room: str | None = None
    after: tuple[str, str] | None = None


class RoomsRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """A page of rooms; see `RoomPage`."""

    search: str = ""
    after: str = ""


class OnlineRequest(RoomsRequest, frozen=True, kw_only=True, rename="camel"):
    """A page of the users who are online, in order."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = ROWS


class RoomRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """A request about one room."""

    room: str


class ConnectionRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """A request about one connection."""

    id: str


class UserRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """A request about one user."""

    user_id: str


class EndRequest(Request, frozen=True, kw_only=True, rename="camel"):
    """A request to close connections: what their clients are told."""

    code: int = 1008
    reason: str = "disconnected by an operator"


class KickRequest(EndRequest, frozen=True, kw_only=True, rename="camel"):
    """Close one connection."""

    gateway: str
    id: str


class DisconnectUserRequest(EndRequest, frozen=True, kw_only=True, rename="camel"):
    """Close the connections of a user to a gateway. None: to all gateways."""

    user_id: str
    gateway: str | None = None


class DisconnectMembersRequest(EndRequest, frozen=True, kw_only=True, rename="camel"):
    """Close the connections of all members of a room."""

    gateway: str
    room: str


class RevokeRequest(Request, frozen=True, kw_only=True, rename="camel"):
    """Revoke the tokens of a user up to now, or one token by its `jti`."""

    user_id: str | None = None
    jti: str | None = None


class MoveRequest(UserRequest, frozen=True, kw_only=True, rename="camel"):
    """Put all connections of a user into a room, or take them out."""

    room: str
    enter: bool


class HistoryRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """The newest events to a room, to a user or to all. `since`: only those after this position."""

    to: Literal["room", "user", "all"]
    name: str = ""
    since: str | None = None


class TailRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """The oldest events to rooms, to users or to all after the position `since`. Without it: the newest position."""

    rooms: Names = ()
    users: Names = ()
    all: bool = False
    since: str | None = None


class PublishRequest(GatewayRequest, frozen=True, kw_only=True, rename="camel"):
    """Send an event to a room, to a user, to the users `names`, or to all. Without `data` it has no payload.

    `volatile` and `key` are those of `Broadcaster.broadcast_to_room`.
    """

    to: Recipients
    name: str = ""
    names: Names = ()
    event: str
    data: Any = UNSET
    volatile: bool = False
    key: str | None = None


# Answers


class Node(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A process and its load; see `Load`."""

    id: str
    asked: bool
    """Whether this is the process that the page is connected to."""
    version: str
    host: str
    pid: int
    uptime: float
    cpu: float
    memory: int | None
    lag: float | None
    tasks: int
    waiting: int
    gateways: dict[str, GatewayCounts]


class Connection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A connection in a list."""

    id: str
    user_id: str
    node: str
    transport: str
    address: str
    rooms: int
    waiting: int


class ConnectionDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One connection. `details` is null if no process has it (any more)."""

    node: str | None
    details: Details | None
    complete: bool
    missing: tuple[str, ...]


class RoomSize(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many members a room has on all processes that have answered."""

    members: int
    complete: bool
    missing: tuple[str, ...]


class Room(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A room in a list, with its members on all processes."""

    name: str
    members: int


class Nodes(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All processes that have answered."""

    nodes: list[Node]
    gateways: list[str]
    """Those of the process that the page is connected to, in order."""
    complete: bool
    missing: list[str]
    """The ids of processes that are known, and have not answered."""


class Connections(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of connections. `more`: there are others after it."""

    rows: list[Connection]
    more: bool
    complete: bool


class Rooms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of rooms."""

    rows: list[Room]
    more: bool
    complete: bool


class Online(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of the users who are online. `total` is how many users match the search."""

    rows: list[str]
    total: int
    more: bool


class User(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A user: whether online, and the connections, each with its process. Over `MOST_ROWS` it is not complete."""

    online: bool
    connections: list[tuple[str, str]]
    complete: bool
    missing: tuple[str, ...]


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event in history. `payload` is its JSON, and is cut if it is long."""

    position: str
    event: str
    payload: str
    bytes: int
    attachments: int
    cut: bool


class Events(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of history, newest first. `more`: there are older ones."""

    events: list[HistoryEvent]
    more: bool


class TailEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event in history with its whole payload, which is JSON, or empty. Of attachments it has the sizes."""

    position: str
    event: str
    to: Target
    payload: str
    attachments: tuple[int, ...]
    except_: tuple[str, ...] = msgspec.field(name="except")


class Tail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of history, oldest first. `position` is where to ask for the next ones; `more`: they are there already."""

    events: list[TailEvent]
    position: str
    more: bool
    skipped: int
    """How many events up to `position` are too large for an answer."""
    lost: str | None
    """Why events after `since` may be missing. None: they are not."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The receipt of an event; see `Receipt`."""

    position: str | None
    delivered_here: int
    replicated: bool


class Setting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A setting by its variable. `value` of a secret says only whether it is set."""

    name: str
    value: str
    changed: bool
    """Whether it differs from the default."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to the request with the same `ref`."""

    ref: int
    result: Any = None


class Error(ErrorMessage, frozen=True, kw_only=True, rename="camel"):
    """The request with this `ref` was refused or failed. Without one: a frame that is no request."""

    ref: int | UnsetType = UNSET
