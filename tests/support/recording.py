"""A transport that records the frames written to it."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.contracts import MountedGateway
from asgi_realtime.errors import Refusal
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.hub.hub import Hub
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.outbound.sink import NO_DESCRIPTOR
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication

GATEWAY = GatewayName("/test")
_ids = itertools.count(1)
_FILLING = Frame(" " * (Limits().outbox_bytes // 2 + 1))


class RecordingTransport:
    """Records the text of each frame, and the close. Notifies `gateway` of the close, as a real transport does.

    Its client reads everything at once, until `stall`.
    """

    descriptor = NO_DESCRIPTOR
    deflate = False

    def __init__(
        self, *, gateway: Gateway | None = None, gone: bool = False, outbox_bytes: int = Limits().outbox_bytes
    ) -> None:
        self.written: list[str] = []
        self.writes = 0
        """How often something was written past the outbox."""
        self.closes: list[tuple[int, str]] = []
        self.outbox = Outbox(outbox_bytes, self)
        self.outbox.wake = self.read
        self.connection: InternalConnection | None = None
        self._gateway = gateway
        self._gone = gone
        self.on_close: Callable[[], None] | None = None
        self.may_overflow = False
        self.overflows = 0
        self.kind = "websocket"
        self.answered_at: float | None = None

    def stall(self) -> None:
        """Stop reading until `read`, with an outbox that is more than half full."""
        self.outbox.wake = None
        self.outbox.push(_FILLING)

    def take_broadcasts(self) -> None:
        """Let broadcasts be written past the outbox, as to a WebSocket."""
        self.outbox.set_sink(self)

    def overflowed(self) -> None:
        assert self.may_overflow, "a test writes more than the limit"
        self.overflows += 1

    def read(self) -> None:
        """Read the waiting frames."""
        frames = [frame for frame in self.outbox.take() if frame is not _FILLING]
        self.written.extend(str(message) for frame in frames for message in frame.messages)

    def write(self, data: bytes) -> None:
        assert not self.closes
        self.writes += 1
        self.written.extend(_texts(data))

    def close(self, code: int, reason: str) -> None:
        self.closes.append((code, reason))
        if self.on_close is not None:
            self.on_close()
        if self._gateway is not None and self.connection is not None:
            self._gateway.disconnected(self.connection, "server disconnect")

    def abandon(self) -> None:
        self.close(1000, "")

    def attempted(self, budget: Budget) -> bool:
        return True

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        raise TypeError("this client has no acknowledgements")

    def accept(self, connection: InternalConnection) -> Frame:
        if self._gone:
            raise Refusal("gone")
        self.connection = self.outbox.sink_listener = connection
        return Frame("ACCEPTED")

    @property
    def events(self) -> list[str]:
        """The types of the frames written."""
        return [text if text == "ACCEPTED" else text.split('"')[3] for text in self.written]


def _texts(wire: bytes) -> list[str]:
    """The texts of short frames as a server writes them."""
    found = []
    while wire:
        assert wire[0] == 0x81 and wire[1] < 126
        found.append(wire[2 : 2 + wire[1]].decode())
        wire = wire[2 + wire[1] :]
    return found


class Host:
    """A host that returns a user's rooms once the test allows it."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, str | None]] = {}
        self.asked: list[str] = []
        self.gate: Callable[[], Awaitable[None]] | None = None

    async def rooms_of(self, identity: Identity) -> Mapping[RoomName, RoomName | None]:
        self.asked.append(identity.user_id)
        found = dict(self.rooms.get(identity.user_id, {}))
        if self.gate is not None:
            await self.gate()
        return {RoomName(k): None if v is None else RoomName(v) for k, v in found.items()}


class World:
    """A hub with one gateway or several, whose rooms come from a `Host`."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        gateways: Sequence[GatewayName] = (GATEWAY,),
        with_host: bool = True,
        broker: Broker | None = None,
        broker_timeout: float = 5.0,
    ) -> None:
        self.limits = limits or Limits()
        self.tasks = Tasks()
        self.broker: Broker = broker or MemoryBroker()
        self.revocations = Revocations(ttl=60.0)
        self.host = Host()
        self.ticks: list[Callable[[], None]] = []
        self.hub = Hub(
            broker=self.broker,
            revocations=self.revocations,
            tasks=self.tasks,
            meter=Meter(),
            broker_timeout=broker_timeout,
            call_soon=self.ticks.append,
        )
        self._mounted = {}
        for gateway in gateways:
            self.hub.mount(gateway, JSONDialect(), self.limits, self.host.rooms_of if with_host else None)
            self._mounted[gateway] = MountedGateway(
                name=gateway,
                dialect=JSONDialect(),
                hub=self.hub,
                held_bytes=self.limits.outbox_bytes,
                meter=Meter(),
            )

    def tick(self) -> None:
        """End the tick of the loop, so that its broadcasts are written."""
        ticks, self.ticks[:] = list(self.ticks), []
        for each in ticks:
            each()

    def deliver(self, publication: Publication) -> int:
        """Deliver a publication in a tick of its own."""
        delivered = self.hub.deliver(publication)
        self.tick()
        return delivered

    @property
    def rooms(self) -> Any:
        return self.hub.rooms(GATEWAY)

    def connection(self, user_id: str = "ann", **claims: Json) -> tuple[InternalConnection, RecordingTransport]:
        """A connection that is not in the hub yet, and is not held."""
        return self._connection(GATEWAY, user_id, claims)

    def _connection(
        self, gateway: GatewayName, user_id: str, claims: Mapping[str, Json]
    ) -> tuple[InternalConnection, RecordingTransport]:
        transport = RecordingTransport(outbox_bytes=self.limits.outbox_bytes)
        connection = InternalConnection(
            id=ConnectionId(f"c{next(_ids)}"),
            identity=Identity(user_id=UserId(user_id), claims=claims),
            handshake=Handshake(gateway=gateway),
            mounted=self._mounted[gateway],
            transport=transport,
            inbox=Inbox(self.tasks, self.limits),
        )
        transport.connection = transport.outbox.sink_listener = connection
        return connection, transport

    def admit(self, user_id: str = "ann", **claims: Json) -> tuple[InternalConnection, RecordingTransport]:
        """A connection in the hub; closing it takes it out."""
        return self.admit_to(GATEWAY, user_id, claims)

    def admit_to(
        self, gateway: GatewayName, user_id: str = "ann", claims: Mapping[str, Json] = MappingProxyType({})
    ) -> tuple[InternalConnection, RecordingTransport]:
        """The same for one of several gateways."""
        connection, transport = self._connection(gateway, user_id, claims)
        self.hub.add(connection)
        transport.on_close = lambda: self.hub.remove(connection)
        return connection, transport


class RecordedCloses:
    """Which of these connections were closed, in order. They stay in the hub."""

    def __init__(self, admitted: Sequence[tuple[InternalConnection, RecordingTransport]]) -> None:
        self.connections: list[InternalConnection] = []
        self.begun = asyncio.Event()
        """Set when the first one is closed."""
        for connection, transport in admitted:
            transport.on_close = functools.partial(self._record, connection)

    def _record(self, connection: InternalConnection) -> None:
        self.connections.append(connection)
        self.begun.set()
