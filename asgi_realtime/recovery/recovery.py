"""Recovery in one process: what is kept of lost connections, and how their clients get it back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.positions import ConnectionPositions, GatewayPositions
from asgi_realtime.errors import PositionLost, Unavailable
from asgi_realtime.hub.hub import Hub
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.history_order import number, position_from_client
from asgi_realtime.recovery.missed_events import read_missed
from asgi_realtime.recovery.session import RecoverySession, RoomPositions, SessionClaim
from asgi_realtime.recovery.session_store import MemorySessionStore
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.values.close_codes import TOO_SLOW
from asgi_realtime.values.commands import Command, EndAll
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription
from asgi_realtime.values.questions import NodeAnswer, Question

_LOST: Final = frozenset(
    {"transport close", "transport error", "ping timeout", "forced close", "client close", "idle", TOO_SLOW}
)
"""The reasons of ends that neither the client nor the application wanted."""
_PING_MARGIN: Final = 1.0
"""Seconds. A ping may overtake broadcasts of the same tick."""

RecoveredIdentity: TypeAlias = Callable[[Identity, Identity], Identity | None]
"""See `RecoveryRules.recovered_identity`."""


class ReturningClient:
    """A client that has claimed its session and is about to be let in."""

    __slots__ = ("identity", "rooms", "session", "start")

    def __init__(self, session: RecoverySession, identity: Identity, start: Position) -> None:
        self.session = session
        self.identity = identity
        """The user, with the credential that it has just presented."""
        self.start = start
        """The position after which it has missed events."""
        self.rooms: RoomPositions = {}
        """The rooms that it is still in."""


class Recovery:
    """Receives what the broker delivers, notes it, and passes it on to the hub.

    Args:
        hub: the connections of this process.
        broker: has the history.
        revocations: the revoked credentials.
        wheel: timers.
        window: seconds that a session is kept.
        broker_timeout: seconds the broker may take to answer.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        broker: Broker,
        revocations: Revocations,
        wheel: TimerWheel,
        window: float,
        broker_timeout: float,
    ) -> None:
        self._hub = hub
        self._broker = broker
        self._revocations = revocations
        self._wheel = wheel
        self._window = window
        self._broker_timeout = broker_timeout
        self._key = secrets.token_bytes(32)
        self._gateways: dict[GatewayName, GatewayPositions] = {}
        self._store = MemorySessionStore()
        self._log = CommandLog()
        self._scheduled = False

    @property
    def saved(self) -> int:
        """How many sessions are kept."""
        return len(self._store)

    def add_gateway(self, gateway: GatewayName, dialect: Dialect, answer_has_position: bool) -> GatewayPositions:
        """Clients of this gateway may recover. See `GatewayPositions.answer_has_position`."""
        return self._gateways.setdefault(gateway, GatewayPositions(dialect, answer_has_position))

    async def start(self) -> None:
        """Begin on the running event loop, without sessions. The broker has started, and no client is connected."""
        self._store = MemorySessionStore()
        self._log = CommandLog()
        self._scheduled = False
        for gateway, positions in self._gateways.items():
            positions.start(await self._broker.position(gateway))

    # For the broker: see `BrokerReceiver`

    def deliver(self, publication: Publication) -> int:
        """Note the position, and write the publication to its recipients."""
        if publication.position is not None:
            positions = self._gateways.get(publication.gateway)
            if positions is not None:
                positions.advance(publication.position, asyncio.get_running_loop().time())
        return self._hub.deliver(publication)

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Note a command for the sessions that are kept, and begin it."""
        if isinstance(command, EndAll):
            self._log.forget()
        self._log.append(command, position)
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
        return None if positions is None else ConnectionPositions(positions)

    def pid(self, connection: InternalConnection) -> str:
        """The secret id with which the client claims its session."""
        return self._pid(connection.gateway, connection.id)

    def save(self, connection: InternalConnection, reason: str) -> bool:
        """Keep what a client needs that has lost its connection, which is still in its rooms. False: it cannot recover.

        `reason` is that of the gateway's `disconnected`.
        """
        positions, ended = connection.positions, connection.ended
        if positions is None or not (reason in _LOST or ended == (1013, TOO_SLOW)):
            return False
        if connection.refresh is not None or ended not in (None, (1013, TOO_SLOW)):
            return False
        since, replayed = positions.since, positions.replayed
        answered_at = connection.transport.answered_at
        received = None if answered_at is None else positions.gateway.at(answered_at - _PING_MARGIN)
        if received is not None and number(received) > number(since):
            since, replayed = received, None
        entered = positions.entered or {}
        session = RecoverySession(
            gateway=connection.gateway,
            connection_id=connection.id,
            identity=connection.identity,
            rooms={room: entered.get(room, since) for room in connection.rooms},
            parents=_parents_of(connection.rooms, self._hub.rooms(connection.gateway).parents),
            granted=connection.granted,
            since=since,
            replayed=replayed,
            commands=self._log.count,
            expires_at=asyncio.get_running_loop().time() + self._window,
        )
        self._keep(session)
        return True

    def leaving_presence(self, connection: InternalConnection, task: asyncio.Task[None]) -> None:
        """A saved connection leaves presence in this task. Its client is let in after that."""
        self._store.set_presence_left(connection.gateway, connection.id, task)

    def put_back(self, client: ReturningClient) -> None:
        """A returning client was not let in: it may try again."""
        self._keep(client.session)

    async def claim(
        self,
        gateway: GatewayName,
        claim: SessionClaim,
        identity: Identity,
        recovered_identity: RecoveredIdentity,
        most_bytes: int,
    ) -> ReturningClient | None:
        """Claim the session of a client that is authenticated. None: it cannot recover, and is a new client.

        A live connection of the same client is ended first. `most_bytes` is the limit on what it may have missed.

        Raises:
            BrokerUnavailable: history was not read in time.
        """
        positions = self._gateways.get(gateway)
        connection_id = self._claimed_id(gateway, claim.pid)
        if positions is None or connection_id is None:
            return None
        live = self._hub.rooms(gateway).get(connection_id)
        if live is not None:
            if (
                recovered_identity(live.identity, identity) is None
                or live.positions is None
                or not live.positions.opened
            ):
                return None
            live.transport.abandon()
        session = await self._store.claim(gateway, connection_id, asyncio.get_running_loop().time())
        if session is None:
            return None
        known = recovered_identity(session.identity, identity)
        if known is None:
            self._keep(session)
            return None
        if self._revocations.is_revoked(session.identity):
            return None
        if session.presence_left is not None:
            await asyncio.shield(session.presence_left)
        offset = position_from_client(claim.offset, positions.newest)
        start = session.exact_start(offset) if positions.answer_has_position else session.start(offset)
        current = self._after_commands(session)
        if start is None or current is None:
            return None
        try:
            missed = await self._read(session.gateway, connection_id, known, start, current.rooms)
        except PositionLost:
            return None
        if sum([len(each.payload) + sum(map(len, each.attachments)) for each in missed]) > most_bytes:
            return None
        return ReturningClient(session, known, start)

    async def restore_rooms(self, connection: InternalConnection, client: ReturningClient) -> None:
        """Put the connection of a returning client into its rooms. It has just been added to the hub, and is held.

        Raises:
            Unavailable: it is no longer known which rooms these are.
        """
        current = self._after_commands(client.session)
        if current is None:
            raise Unavailable
        positions = connection.positions
        assert positions is not None
        positions.recovered = True
        client.rooms = current.rooms
        connection.granted = client.session.granted
        for room in current.rooms:
            await self._hub.join(connection, room, current.parents.get(room))
            positions.leave((room,))  # it was there before

    async def replay(self, connection: InternalConnection, client: ReturningClient) -> list[Frame]:
        """The events that a returning client has missed. It is in its rooms, and is held.

        Raises:
            Unavailable: history no longer has all of them.
            BrokerUnavailable: history was not read in time.
        """
        positions = connection.positions
        assert positions is not None
        while connection.refresh is not None:
            await asyncio.shield(connection.refresh.done)
        if connection.granted is client.session.granted:
            for room in connection.granted:  # the host was not asked for them again
                await self._hub.leave(connection, room)
        # In one step: what was published before it is read from history, and what comes after it is held.
        connection.drop_held_broadcasts()
        now = positions.gateway.newest
        entered = positions.entered or {}
        rooms = {room: entered.get(room) or client.rooms.get(room, positions.since) for room in tuple(connection.rooms)}
        if positions.gateway.answer_has_position:
            # Its client knows what it has got, also if the connection breaks while the missed events are written.
            positions.since = client.start
            positions.entered = {room: at for room, at in rooms.items() if number(at) > number(client.start)}
        else:
            positions.since, positions.entered = now, None
        try:
            found = await self._read(connection.gateway, connection.id, connection.identity, client.start, rooms)
        except PositionLost:
            raise Unavailable from None
        missed = [each for each in found if each.position is not None and number(each.position) <= number(now)]
        if missed and not positions.gateway.answer_has_position:
            positions.replayed = missed[-1].position
        return self._hub.frames_for(connection, missed)

    # For the timer

    def on_deadline(self, now: float) -> float | None:
        """Remove the sessions that have expired."""
        following = self._store.expire(now)
        self._scheduled = following is not None
        return following

    def _keep(self, session: RecoverySession) -> None:
        self._store.save(session)
        if not self._scheduled:
            self._scheduled = True
            self._wheel.schedule(session.expires_at, self)

    def _after_commands(self, session: RecoverySession) -> RecoverySession | None:
        commands = self._log.since(session.commands, session.gateway, session.identity.user_id)
        return None if commands is None else session.after(commands)

    async def _read(
        self,
        gateway: GatewayName,
        connection_id: ConnectionId,
        identity: Identity,
        since: Position,
        rooms: RoomPositions,
    ) -> list[Publication]:
        return await read_missed(
            self._broker,
            self._broker_timeout,
            gateway,
            connection_id=connection_id,
            user_id=identity.user_id,
            since=since,
            rooms=rooms,
        )

    def _pid(self, gateway: GatewayName, connection_id: str) -> str:
        mac = hmac.digest(self._key, f"{gateway}\n{connection_id}".encode(), hashlib.sha256)[:18]
        return f"{connection_id}.{base64.urlsafe_b64encode(mac).decode()}"

    def _claimed_id(self, gateway: GatewayName, pid: Json) -> ConnectionId | None:
        """The id of the connection whose `pid` a client presents. None: this process has not made it."""
        if not isinstance(pid, str) or not pid.isascii():
            return None
        connection_id = pid.rpartition(".")[0]
        return ConnectionId(connection_id) if hmac.compare_digest(pid, self._pid(gateway, connection_id)) else None


def _parents_of(rooms: Collection[RoomName], parents: Mapping[RoomName, RoomName]) -> dict[RoomName, RoomName]:
    """The parents of some rooms and of the rooms above them."""
    found: dict[RoomName, RoomName] = {}
    for room in rooms:
        while room in parents and room not in found:
            found[room] = parents[room]
            room = parents[room]
    return found
