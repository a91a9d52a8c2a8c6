"""Gives the sessions of lost connections to the clients that return."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hmac
from typing import Final

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.position_order import number, position_from_client, same_history
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.positions import ConnectionPositions
from asgi_realtime.errors import PositionLost, Unavailable
from asgi_realtime.hub.hub import Hub
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.connection_sessions import ConnectionSessions
from asgi_realtime.recovery.current_positions import until_settled
from asgi_realtime.recovery.departures import Departures
from asgi_realtime.recovery.missed_events import read_missed, size_of, those_until
from asgi_realtime.recovery.returning_client import RecoveredIdentity, ReturningClient
from asgi_realtime.recovery.session import RecoverySession, SessionClaim, SessionId
from asgi_realtime.recovery.session_store import SessionStore
from asgi_realtime.recovery.turns import Turns
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.json import Json

_LONGEST_PID: Final = 200
_READ_ONCE: Final = 65_536
"""Most bytes of missed events that are kept while a client is let in. More are read from history again."""


class SessionClaims:
    """Finds the session of a returning client, puts it into its rooms, and reads what it has missed.

    Args:
        hub: the connections of this process.
        broker: has the history.
        broker_timeout: seconds the broker may take to answer.
        revocations: the revoked credentials.
        store: keeps the sessions.
        sessions: makes those of connections.
        log: the commands that sessions may lack.
        departures: the lost connections that are still present.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        broker: Broker,
        broker_timeout: float,
        revocations: Revocations,
        store: SessionStore,
        sessions: ConnectionSessions,
        log: CommandLog,
        departures: Departures,
    ) -> None:
        self._hub = hub
        self._read = functools.partial(read_missed, broker, broker_timeout)
        self._revocations = revocations
        self._store = store
        self._sessions = sessions
        self._log = log
        self._departures = departures

    def start(self) -> None:
        """Begin on the running event loop."""
        self._claims, self._reads, self._replays = Turns(), Turns(), Turns()

    async def claim(
        self,
        positions: ConnectionPositions,
        gateway: GatewayName,
        claim: SessionClaim,
        identity: Identity,
        recovered_identity: RecoveredIdentity,
        most_bytes: int,
    ) -> ReturningClient | None:
        """Claim the session of a client that is authenticated. None: it cannot recover, and is a new client.

        A live connection of the same client is ended first. `most_bytes` is the limit on what it may have missed.

        Raises:
            BrokerUnavailable: the sessions or history were not read in time.
        """
        pid = claim.pid
        if not isinstance(pid, str) or not pid.isascii() or len(pid) > _LONGEST_PID:
            return None
        await self._claims.next()
        live = self._hub.rooms(gateway).get(ConnectionId(pid.rpartition(".")[0]))
        if live is not None and live.positions is not None and hmac.compare_digest(pid, self._sessions.pid(live)):
            if recovered_identity(live.identity, identity) is None or not live.positions.opened:
                return None
            live.transport.abandon()
        session = await self._store.claim(
            SessionId.of(gateway, pid),
            positions.owner,
            lambda earlier: recovered_identity(earlier, identity) is not None,
        )
        known = None if session is None else recovered_identity(session.identity, identity)
        if session is None or known is None or self._revocations.is_revoked(session.identity):
            return None
        client = ReturningClient(session, known, pid, positions.owner)
        try:
            await self._departures.until_left(session.connection_id)
            return client if await self._can_return(client, positions, gateway, claim.offset, most_bytes) else None
        except BaseException:  # also the cancellation of a process that stops: the client may return to another one
            self.put_back(client)
            raise

    def refused(self, connection: InternalConnection, client: ReturningClient | None) -> None:
        """A client was not let in, and is not present. If it had returned, it may try again."""
        if client is not None:
            self.put_back(client)
        self._departures.refused(connection.id)

    def put_back(self, client: ReturningClient) -> None:
        """A returning client was not let in: it may try again."""
        session = self._after_commands(client.session)
        if session is None:
            self._store.remove(client.session.id, client.owner)
        else:
            self._store.save(dataclasses.replace(session, commands=self._log.count), client.owner)

    async def _can_return(
        self,
        client: ReturningClient,
        positions: ConnectionPositions,
        gateway: GatewayName,
        offset: Json,
        most_bytes: int,
    ) -> bool:
        """Whether history has everything that a client has missed."""
        session = client.session
        await until_settled(positions)
        until = positions.gateway.newest
        received = position_from_client(offset, until)
        start = session.exact_start(received) if positions.gateway.answer_has_position else session.start(received)
        current = self._after_commands(session)
        if start is None or current is None or not same_history(start, until):
            return False
        try:
            async with self._reads:
                missed = await self._read(gateway, session.connection_id, client.identity.user_id, start, current.rooms)
        except PositionLost:
            return False
        size = size_of(missed)
        if size > most_bytes:
            return False
        positions.pid = client.pid
        client.start = client.until = start
        client.rooms = current.rooms
        if size <= _READ_ONCE:
            client.until, client.missed = until, those_until(missed, until)
        return True

    async def restore_rooms(self, connection: InternalConnection, client: ReturningClient) -> None:
        """Put the connection of a returning client into its rooms. It has just been added to the hub, and is held.

        Raises:
            Unavailable: it is no longer known which rooms these are.
            BrokerUnavailable: a room could not be subscribed to.
        """
        positions = connection.positions
        assert positions is not None
        while True:
            current = self._after_commands(client.session)
            if current is None:
                raise Unavailable
            subscribing = self._hub.until_subscribed(connection, current.rooms)
            if subscribing is None:
                break
            await subscribing  # a command may take the client out of a room in the meantime
        positions.recovered = True
        client.in_rooms(current.rooms)
        connection.granted = client.session.granted
        for room in current.rooms:
            await self._hub.join(connection, room, current.parents.get(room))
            positions.leave((room,))  # it was there before

    async def replay(self, connection: InternalConnection, client: ReturningClient) -> list[Frame]:
        """The events that a returning client has missed. It is in its rooms, and is held.

        Raises:
            Unavailable: history no longer has all of them, or the newest position is not known.
            BrokerUnavailable: history was not read in time.
        """
        positions = connection.positions
        assert positions is not None
        while connection.refresh is not None:
            await asyncio.shield(connection.refresh.done)
        if connection.granted is client.session.granted:
            for room in connection.granted:  # the host was not asked for them again
                await self._hub.leave(connection, room)
        await self._replays.next()
        if positions.unnumbered != positions.gateway.unnumbered:
            raise Unavailable  # the newest position is not known
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
        client.in_rooms(rooms)
        missed = client.missed
        if now != client.until:
            try:
                user_id = connection.identity.user_id
                later = await self._read(connection.gateway, connection.id, user_id, client.until, rooms)
            except PositionLost:
                raise Unavailable from None
            missed = [*missed, *those_until(later, now)]
        if missed and not positions.gateway.answer_has_position:
            positions.replayed = missed[-1].position
        return self._hub.frames_for(connection, missed)

    def _after_commands(self, session: RecoverySession) -> RecoverySession | None:
        commands = self._log.since(session.commands, session.id.gateway, session.identity.user_id)
        return None if commands is None else session.after(commands)
