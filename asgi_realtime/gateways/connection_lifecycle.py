"""Opens the connections of a gateway: origin check, authentication, `on_connect`, recovery; and replaces tokens."""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol

import msgspec

from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.refusal_log import FOREIGN_ORIGIN
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.connection.contracts import MountedGateway, Transport
from asgi_realtime.connection.positions import ConnectionPositions
from asgi_realtime.errors import BrokerUnavailable, Disconnect, Forbidden, Refusal, Unauthorized, Unavailable
from asgi_realtime.gateways.connection_ends import ConnectionEnds
from asgi_realtime.gateways.expiry import Expiry
from asgi_realtime.limits import TOO_MANY_ATTEMPTS
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.recovery.returning_client import ReturningClient
from asgi_realtime.recovery.unbroken_claim import unbroken_claim
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.runtime.tasks import HOST_ERRORS, ends_this_task
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId


class ClientTransport(Transport, Protocol):
    """The client's side of a connection that is about to open."""

    def accept(self, connection: InternalConnection) -> Frame | None:
        """The connection opens: store it, and return the first frame to send, if there is one.

        Raises:
            Refusal: if the client has disconnected in the meantime.
        """


class ConnectionLifecycle(ConnectionEnds):
    """Opens and closes connections. Transports call `open` and `disconnected`.

    It calls the authenticator and `on_connect` of the host, which `Gateway.bind` sets.
    """

    _authenticate: HostCall
    _origins: OriginPolicy
    _mounted: MountedGateway[InternalConnection]

    @property
    def origins(self) -> OriginPolicy:
        """The origins that may connect: `MEW_CORS_ORIGINS` and `extra_origins`. Available after mounting."""
        try:
            return self._origins
        except AttributeError:
            raise self._not_available() from None

    def connection_opened(self, connection: Connection) -> None:
        """The client is connected, and what `on_connect` sent was written. Must not wait. What it raises is logged."""

    # Entry points of the transports

    async def open(self, handshake: Handshake, transport: ClientTransport) -> Connection:
        """Authenticate a client, call `on_connect`, and open the connection.

        Nothing is written to the client before that. If a step fails, everything is undone.

        Raises:
            Refusal: the reply to send to the client.
        """
        context = self.context
        try:
            handshake = self._check_origin(handshake)
            connection = await run_with_timeout(self.limits.handler_timeout, self._let_in(handshake, transport))
        except Refusal as refusal:
            self._metrics.refused("ORIGIN" if refusal.log_reason == FOREIGN_ORIGIN else refusal.reply_code)
            self._log_refusal(refusal, handshake)
            raise
        except BrokerUnavailable:
            # One line a minute, and no traceback: while the broker is unavailable, this happens for every client.
            self._metrics.refused("UNAVAILABLE")
            context.refusals.refused(self.name, "the broker is unavailable")
            raise Unavailable from None
        except Disconnect as disconnect:
            self._metrics.refused("DISCONNECT")
            context.refusals.refused(self.name, f"the application closed it with {disconnect.code}")
            raise Refusal.ended(disconnect.code, disconnect.reason) from None
        except HOST_ERRORS as error:
            if ends_this_task(error):
                raise
            self._metrics.refused("INTERNAL")
            self._failures.failed(self.name, "connecting failed", error)
            raise Refusal("internal error", code="INTERNAL") from None
        self._metrics.opened()
        try:
            self.connection_opened(connection.public)
        except HOST_ERRORS as error:
            self._failures.failed(self.name, "connection_opened failed", error, connection=connection)
        return connection.public

    async def _let_in(self, handshake: Handshake, transport: ClientTransport) -> InternalConnection:
        try:
            identity = await self._identify(handshake)
            return await self._admit(handshake, identity, transport)
        except Exception as error:
            meant = self._refusal_of(error)
            if meant is None or meant is error:
                raise
            raise meant from None

    async def _admit(self, handshake: Handshake, identity: Identity, transport: ClientTransport) -> InternalConnection:
        """Open the connection of an authenticated client, with its recovery session if it has one."""
        recovery = self.context.recovery
        positions = returning = claim = None
        if recovery is not None and self._gets_positions(handshake):
            positions = recovery.positions_for(self._name)
        if recovery is not None and positions is not None:
            claim = self._session_claim(handshake)
            if claim is not None:
                most_bytes = self.limits.outbox_bytes // 2  # the rest is for what is sent directly after them
                claiming = recovery.claims.claim(
                    positions, self._name, claim, identity, self.recovered_identity, most_bytes
                )
                returning = await unbroken_claim(claiming, put_back=recovery.claims.put_back, tasks=self.context.tasks)
            if returning is not None:
                identity = returning.identity
            positions.since = positions.gateway.newest  # it is added to the hub in this step
        connection = self._make(handshake, identity, transport, positions, returning)
        try:
            await self._prepare(connection, transport, returning)
        except BaseException:
            if recovery is not None:
                recovery.claims.refused(connection, returning)
            raise
        if claim is not None:
            self._metrics.came_back(returning is not None)
        return connection

    async def _identify(self, handshake: Handshake) -> Identity:
        identity = await self._authenticate(handshake)
        if not isinstance(identity, Identity):
            # Only the type is logged: the value may be a secret.
            found = "None" if identity is None else f"an object of type {type(identity).__qualname__}"
            error = TypeError("it must return an Identity, or raise Unauthorized")
            self._failures.failed(self.name, f"the authenticator returned {found}", error)
            raise Refusal("internal error", code="INTERNAL")
        if self.context.revocations.is_revoked(identity):
            raise Unauthorized(log_reason="the token is revoked")
        return identity

    def _log_refusal(self, refusal: Refusal, handshake: Handshake) -> None:
        refusals = self.context.refusals
        if refusal.log_reason == FOREIGN_ORIGIN:
            refusals.origin(self.name, handshake.origin, handshake.headers.get("host"))
        elif refusal.reply_code != "INTERNAL":  # an internal failure was logged already
            refusals.refused(self.name, refusal.log_reason or f"the application refused it ({refusal.reply_code})")

    def _check_origin(self, handshake: Handshake) -> Handshake:
        """Check the origin. Returns the handshake, without cookies if the page is not trusted."""
        # A Socket.IO transport may have been opened by a page that only another gateway allows.
        origin, origins = handshake.origin, self._origins
        if origin is None:  # not a browser
            return handshake
        host = handshake.headers.get("host")
        if not origins.allows(origin, host=host, scheme=handshake.scheme):
            raise Forbidden("origin not allowed", log_reason=FOREIGN_ORIGIN)
        if not origins.allows_untrusted or origins.trusts(origin, host=host, scheme=handshake.scheme):
            return handshake
        return handshake.without_browser_credentials()

    def _make(
        self,
        handshake: Handshake,
        identity: Identity,
        transport: Transport,
        positions: ConnectionPositions | None,
        returning: ReturningClient | None,
    ) -> InternalConnection:
        """Make the connection, with what it needs before the hub has it."""
        return InternalConnection(
            id=self._new_id(identity) if returning is None else returning.session.connection_id,
            identity=identity,
            handshake=handshake,
            mounted=self._mounted,
            transport=transport,
            inbox=Inbox(self.context.tasks, self.limits),
            positions=positions,
        )

    def _new_id(self, identity: Identity) -> ConnectionId:
        """The id of a new connection."""
        return ConnectionId(secrets.token_urlsafe(15))

    def recovery_id(self, connection: InternalConnection) -> str | None:
        """The secret id with which a client recovers this connection. None: it cannot."""
        recovery = self.context.recovery
        return None if recovery is None or connection.positions is None else recovery.pid(connection)

    async def _prepare(
        self, connection: InternalConnection, transport: ClientTransport, returning: ReturningClient | None
    ) -> None:
        context = self.context
        connection.hold()
        context.hub.add(connection)
        counted = False
        try:
            subscribing = context.hub.until_subscribed(connection)
            if subscribing is not None:
                await subscribing
                if connection.positions is not None:
                    connection.drop_held_broadcasts()  # the client begins at this position
                    connection.positions.since = connection.positions.gateway.newest
                if connection.ended is not None:
                    raise self._refusal_of_ended(connection, connection.ended)
            if context.recovery is not None and returning is not None:
                await context.recovery.claims.restore_rooms(connection, returning)
            if await self._hooks["on_connect"](connection.public) is False:
                raise TypeError("on_connect returned False; to refuse a client, raise Forbidden() or another Refusal")
            if connection.ended is not None:
                raise self._refusal_of_ended(connection, connection.ended)
            counted = True
            # The hub has counted the connections of this process; presence counts those of all.
            joining = context.presence.join(
                self._name, connection.identity.user_id, connection.id, limit=self.limits.connections_per_user
            )
            first = await answer_in_time(context.settings.publish_timeout, joining)
            if connection.ended is not None:
                raise self._refusal_of_ended(connection, connection.ended)
            missed: list[Frame] = []
            if context.recovery is not None:
                missed = await context.recovery.before_answer(connection, returning)
                if connection.ended is not None:
                    raise self._refusal_of_ended(connection, connection.ended)
            answer = transport.accept(connection)
            if missed and answer is not None:
                answer = Frame.joined([answer, *missed] if self._answer_has_position else [*missed, answer])
        except BaseException:
            try:
                if context.recovery is not None:
                    context.recovery.not_opened(connection, returning)
            finally:
                connection.set_closed()
                context.hub.remove(connection)
            if counted:
                await self._leave_presence(connection)
            connection.forget_public()
            raise
        self._watch_expiry(connection)
        connection.handshake = connection.handshake.without_credentials()
        connection.open(answer)
        if first:
            self._announce_online(connection)

    def _refusal_of_ended(self, connection: InternalConnection, ended: tuple[int, str]) -> Refusal:
        """The refusal of a client whose connection was ended before it was open, with that code and reason."""
        if self.context.revocations.is_revoked(connection.identity):
            return Unauthorized(log_reason="the token is revoked")
        return Refusal.ended(*ended)

    # Tokens

    async def refresh_token(self, connection: Connection, token: str) -> None:
        """Replace the token of a live connection.

        Raises:
            Unauthorized: if the token is not valid, or is not this user's.
            Disconnect: if the client has sent more tokens than it may (see `Limits.attempt_rate`).
        """
        found = internal(connection)
        if not found.transport.attempted(self._attempts):
            raise Disconnect(1008, TOO_MANY_ATTEMPTS)
        handshake = msgspec.structs.replace(connection.handshake, auth={"token": token})
        try:
            identity = await self._identify(handshake)
            if identity.user_id != connection.identity.user_id:
                raise Unauthorized(log_reason="a new token of another user")
        except Refusal as refusal:
            self._log_refusal(refusal, handshake)
            raise
        found.identity = identity
        self._watch_expiry(found)

    def _watch_expiry(self, connection: InternalConnection) -> None:
        if connection.identity.expires_at is not None:
            self.context.wheel.schedule(asyncio.get_running_loop().time(), Expiry(connection.public))
