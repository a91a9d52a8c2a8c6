"""Recovery: what is kept of lost connections, and how their clients get it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING, Final

import msgspec

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.positions import MARK_SECONDS, ConnectionPositions, GatewayPositions
from asgi_realtime.hub.hub import Hub
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.connection_sessions import ENDED_TOO_SLOW, ConnectionSessions
from asgi_realtime.recovery.current_positions import CurrentPositions
from asgi_realtime.recovery.departures import Departures
from asgi_realtime.recovery.returning_client import ReturningClient
from asgi_realtime.recovery.session_claims import SessionClaims
from asgi_realtime.recovery.session_store import MemorySessionStore, SessionStore
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.values.close_codes import TOO_SLOW
from asgi_realtime.values.commands import Command, EndAll
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription
from asgi_realtime.values.questions import NodeAnswer, Question

if TYPE_CHECKING:
    from asgi_realtime.broker.redis import RedisBroker
    from asgi_realtime.recovery.open_connections import OpenConnections

_LOST: Final = frozenset(
    {"transport close", "transport error", "ping timeout", "forced close", "client close", "idle", TOO_SLOW}
)
"""The reasons of ends that neither the client nor the application wanted."""


class Recovery:
    """Receives what the broker delivers, notes it, and passes it on to the hub.

    Args:
        hub: the connections of this process.
        broker: has the history.
        revocations: the revoked credentials.
        tasks: own the tasks.
        wheel: timers.
        window: seconds that a session is kept.
        silence: seconds after which a client that does not answer is taken for lost.
        broker_timeout: seconds the broker may take to answer.
        redis: keeps the sessions, so that clients recover in any process. None: there is one process.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        broker: Broker,
        revocations: Revocations,
        tasks: Tasks,
        wheel: TimerWheel,
        window: float,
        silence: float,
        broker_timeout: float,
        redis: RedisBroker | None = None,
    ) -> None:
        self._hub = hub
        self._broker = broker
        self._gateways: dict[GatewayName, GatewayPositions] = {}
        self._mark_every = min(MARK_SECONDS, silence / 8)
        self._log = CommandLog()
        self._sessions = ConnectionSessions(hub, self._log)
        self._departures = Departures()
        self._current: CurrentPositions | None = None
        self._open: OpenConnections | None = None
        if redis is None:
            self._store: SessionStore = MemorySessionStore(wheel=wheel, window=window)
        else:
            # Imported here: an application without Redis does not load its client.
            from asgi_realtime.recovery.open_connections import OpenConnections

            self._open = OpenConnections(
                redis=redis,
                broker=broker,
                hub=hub,
                commands=self._log,
                gateways=self._gateways,
                session_of=self._sessions.of,
                id_of=self._sessions.id_of,
                window=window,
                silence=silence,
                timeout=broker_timeout,
                departures=self._departures,
                tasks=tasks,
            )
            self._current = CurrentPositions(self._gateways, self._open.ask_position, tasks)
            self._store = self._open.store
        self.claims = SessionClaims(
            hub=hub,
            broker=broker,
            broker_timeout=broker_timeout,
            revocations=revocations,
            store=self._store,
            sessions=self._sessions,
            log=self._log,
            departures=self._departures,
        )
        """For the clients that return."""

    def add_gateway(self, gateway: GatewayName, dialect: Dialect, answer_has_position: bool) -> GatewayPositions:
        """Clients of this gateway may recover. See `GatewayPositions.answer_has_position`."""
        if gateway not in self._gateways:
            positions = self._gateways[gateway] = GatewayPositions(
                dialect, answer_has_position, mark_every=self._mark_every
            )
            if self._open is not None and self._current is not None:
                self._open.add_gateway(gateway)
                positions.settle = self._current.of(gateway)
        return self._gateways[gateway]

    async def start(self) -> None:
        """Begin on the running event loop, without sessions. The broker has started, and no client is connected."""
        self._log.clear()
        self.claims.start()
        await self._store.start()
        for gateway, positions in self._gateways.items():
            positions.start(Position(""))
            if self._open is None:
                positions.start(await self._broker.position(gateway))
        if self._open is not None and self._current is not None:
            self._current.start()
            self._open.start()

    async def stop(self) -> None:
        """Write what must be written. The clients are gone, and the broker still runs."""
        await self._store.stop()

    # For the broker: see `BrokerReceiver`

    def deliver(self, publication: Publication) -> int:
        """Note the position, and write the publication to its recipients."""
        positions = self._gateways.get(publication.gateway)
        if positions is not None:
            if publication.position is not None:
                if not positions.advance(publication.position):
                    publication = msgspec.structs.replace(publication, position=positions.newest)
            elif not publication.volatile:
                positions.unnumbered += 1
        return self._hub.deliver(publication)

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        """Note the position, and that clients which connected before it cannot be told what they lack."""
        positions = self._gateways.get(gateway)
        if positions is not None:
            positions.advance(position)
            positions.unnumbered += 1

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Note a command for the sessions that are kept, and begin it."""
        if isinstance(command, EndAll):
            self._log.forget()
        self._log.append(command, position)
        if position is not None and self._open is not None:
            gateway: GatewayName | None = getattr(command, "gateway", None)
            positions = None if gateway is None else self._gateways.get(gateway)
            if positions is not None:
                positions.advance(position)
            elif gateway is None:
                self._open.shared = position
        return self._hub.apply(command, position)

    def subscription_for(self, command: Command) -> Subscription | None:
        """What this process must be subscribed to before a command."""
        return self._hub.subscription_for(command)

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """Publications or commands are lost: nothing that was saved before is complete."""
        self._log.forget()
        self._hub.resync(gateway, subscriptions)

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """A client has acknowledged a publication."""
        self._hub.acknowledged(number, values)

    def answer(self, question: Question) -> NodeAnswer:
        """Answer a question about the connections."""
        return self._hub.answer(question)

    # For gateways

    def positions_for(self, gateway: GatewayName) -> ConnectionPositions | None:
        """The positions of a new connection whose client gets them. None: no client of this gateway does."""
        positions = self._gateways.get(gateway)
        return None if positions is None else ConnectionPositions(positions, self._store.new_owner())

    def pid(self, connection: InternalConnection) -> str:
        """The secret id with which the client claims its session. It stays the same when the client recovers."""
        return self._sessions.pid(connection)

    async def before_answer(self, connection: InternalConnection, client: ReturningClient | None) -> list[Frame]:
        """What must be done before the CONNECT of a client is answered. Returns what a returning client has missed.

        The session is kept where other processes find it: directly after the answer, the client may return to one. If
        Redis does not answer in time, the client is answered all the same.

        Raises:
            Unavailable: history no longer has all that the client has missed.
            BrokerUnavailable: history was not read in time.
        """
        missed = [] if client is None else await self.claims.replay(connection, client)
        if connection.positions is not None and self._open is not None:
            connection.positions.connection_id = connection.id
            self._open.changed(connection.gateway, connection.id)
            await connection.positions.until_written()
        return missed

    def not_opened(self, connection: InternalConnection, client: ReturningClient | None) -> None:
        """A client is not let in. `SessionClaims.refused` is called when it has left presence."""
        positions = connection.positions
        if positions is not None and positions.connection_id is not None:
            positions.connection_id = None  # the rooms that it leaves now are not written
            if client is None:
                self._store.remove(self._sessions.id_of(connection), positions.owner)

    def save(self, connection: InternalConnection, reason: str) -> bool:
        """Keep what a client needs that has lost its connection, which is still in its rooms. False: it cannot recover.

        `reason` is that of the gateway's `disconnected`.
        """
        positions = connection.positions
        if positions is None:
            return False
        session = None
        try:
            if reason in _LOST or connection.ended == ENDED_TOO_SLOW:
                session = self._sessions.of(connection)
            if session is not None:
                self._store.save(session, positions.owner)
            elif self._open is not None:
                self._store.remove(self._sessions.id_of(connection), positions.owner)
        finally:
            positions.connection_id = None  # the rooms that it leaves now are not written
        return session is not None

    def leaving_presence(self, connection: InternalConnection, left: asyncio.Future[None]) -> None:
        """A saved connection has left presence when this is done. Its client is let in after that."""
        self._departures.add(connection.id, left)
