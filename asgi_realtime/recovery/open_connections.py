"""The open connections of this process, kept where other processes can take their clients over."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.positions import ConnectionPositions, GatewayPositions
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.hub.apply_commands import CONNECT_AGAIN
from asgi_realtime.hub.hub import Hub
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.departures import Departures
from asgi_realtime.recovery.redis_session_store import OPEN_TTL, RedisSessionStore
from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.recovery.session_encoding import CommandPositions, Progress
from asgi_realtime.redis.keys import SHARED
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.publications import Position


class OpenConnections:
    """Writes the sessions of the open connections of this process, and reports how far it is.

    Args:
        redis: the broker whose Redis keeps the sessions.
        broker: asked for positions: `redis`, or a broker in front of it.
        commands: those that this process has carried out.
        gateways: the gateways whose clients may recover.
        session_of: the session of an open connection. None: its client cannot recover.
        id_of: the id of its session.
        window: seconds that the session of a lost connection is kept.
        silence: seconds after which a client that does not answer is taken for lost.
        timeout: seconds that Redis, or another process, may take to answer.
        departures: the connections that are about to leave presence.
    """

    def __init__(
        self,
        *,
        redis: RedisBroker,
        broker: Broker,
        hub: Hub,
        commands: CommandLog,
        gateways: Mapping[GatewayName, GatewayPositions],
        session_of: Callable[[InternalConnection], RecoverySession | None],
        id_of: Callable[[InternalConnection], SessionId],
        window: float,
        silence: float,
        timeout: float,
        departures: Departures,
        tasks: Tasks,
    ) -> None:
        self.commands = commands
        self.store = RedisSessionStore(redis, self, window=window, timeout=timeout)
        self.shared = Position("")
        """The position of the commands for all gateways. Empty: it is not known yet."""
        self._broker = broker
        self._hub = hub
        self._gateways = gateways
        self._session_of = session_of
        self._id_of = id_of
        self._silence = silence
        self._timeout = timeout
        self._departures = departures
        self._tasks = tasks
        self._shares = round(OPEN_TTL / 2 / self.store.report_every)
        """With each report, one of so many shares of the sessions is written again, so that none expires."""
        self._reported: set[GatewayName] = set()
        self._share = 0
        self._measured_at = 0.0
        self._steady_since = 0.0

    def add_gateway(self, gateway: GatewayName) -> None:
        """Clients of this gateway may recover."""
        positions = self._gateways[gateway]
        positions.changed = functools.partial(self.changed, gateway)
        positions.written = functools.partial(self.store.until_written, gateway)

    async def ask_position(self, gateway: GatewayName) -> Position:
        """The position of a gateway, when everything up to it was delivered here.

        Raises:
            BrokerUnavailable: the broker did not answer.
        """
        if not self.shared:
            self.shared = await answer_in_time(self._timeout, self._broker.position(SHARED))
        return await answer_in_time(self._timeout, self._broker.position(gateway))

    # For the store: see `ThisProcess`

    def carried_out(self, gateway: GatewayName) -> CommandPositions:
        """The positions up to which this process has carried out all commands."""
        return CommandPositions(self._gateways[gateway].newest, self.shared)

    async def end(self, gateway: GatewayName, connection_id: ConnectionId, owner: str) -> None:
        """End a connection, if it is this owner. Returns when its session is written, and it is not present."""
        if gateway not in self._gateways:
            return
        connection = self._hub.rooms(gateway).get(connection_id)
        positions = None if connection is None else connection.positions
        if connection is not None and positions is not None and positions.owner == owner:
            if not positions.opened:
                self._departures.refuse(connection_id)
            _end(connection, positions)
        await self._departures.until_left(connection_id)
        await self.store.until_written(gateway)

    # Connections

    def changed(self, gateway: GatewayName, connection_id: ConnectionId) -> None:
        """An open connection has other rooms, or is about to be opened."""
        if gateway not in self._reported:
            self._reported.add(gateway)
            self._tasks.spawn(self._report(gateway, asyncio.get_running_loop().time()), name="reporting progress")
        connection = self._hub.rooms(gateway).get(connection_id)
        if connection is not None and connection.positions is not None:
            self.store.record(
                self._id_of(connection),
                connection.positions.owner,
                functools.partial(self._session_of, connection),
                functools.partial(_end_taken, connection),
            )

    # Reports

    def start(self) -> None:
        """Begin to report how far this process is: at the first connection, and then regularly."""
        self._reported.clear()
        self._measured_at = self._steady_since = asyncio.get_running_loop().time()
        self._tasks.spawn(self._report_regularly(), name="reporting progress", endless=True)

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.store.report_every)
            now = asyncio.get_running_loop().time()
            if now - self._measured_at > 2 * self.store.report_every:
                self._steady_since = now  # it did not run in between: no ping was sent, or found to be unanswered
            self._measured_at = now
            self._share = (self._share + 1) % self._shares
            for gateway in self._gateways:
                await self._report(gateway, now)

    async def _report(self, gateway: GatewayName, now: float) -> None:
        try:
            await self._measure(gateway, now)
        except BrokerUnavailable:
            pass
        except Exception as error:
            self._tasks.failures.failed(gateway, "reporting the progress of recovery failed", error)

    async def _measure(self, gateway: GatewayName, now: float) -> None:
        connections = self._hub.rooms(gateway).everybody
        if not connections:
            return
        positions = self._gateways[gateway]
        self.shared = await answer_in_time(self._timeout, self._broker.position(SHARED))
        positions.advance(await self.ask_position(gateway))
        carried_out = self.carried_out(gateway)
        for connection in connections:
            if hash(connection.id) % self._shares == self._share and not connection.closed:
                self.changed(gateway, connection.id)
        received = None
        if now - self._silence >= self._steady_since and any(each.transport.answered_at for each in connections[:100]):
            received = positions.at(now - self._silence)
        await self.store.report(gateway, Progress(carried_out, received or Position("")))


def _end_taken(connection: InternalConnection) -> None:
    """The client of a connection has recovered in another process, while this one did not run."""
    if not connection.closed and connection.positions is not None:
        _end(connection, connection.positions)


def _end(connection: InternalConnection, positions: ConnectionPositions) -> None:
    if positions.opened:
        connection.transport.abandon()
    else:
        connection.end(*CONNECT_AGAIN)  # its CONNECT is not answered yet
