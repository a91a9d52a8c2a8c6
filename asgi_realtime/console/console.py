"""The console's gateway: its access, the questions of the page, and what operators may change."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, TypeVar

from msgspec import UNSET
from starlette.types import ASGIApp

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.console import payloads
from asgi_realtime.console.access import MINIMUM_SECRET_BYTES, Access
from asgi_realtime.console.cluster_view import ClusterView
from asgi_realtime.console.http_pages import ConsolePages
from asgi_realtime.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidMessage,
    PayloadTooLarge,
    Refusal,
    Unauthorized,
)
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_declarations import EventDeclaration, down
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.settings import Settings
from asgi_realtime.values.field_types import is_positive
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Target, ToAll, ToRoom, ToUsers

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")

LIMITS: Final = Limits(
    message_bytes=262_144, event_rate=10.0, event_burst=100, events_in_flight=16, sessions=50, outbox_bytes=4_194_304
)
"""The limits of the console's own clients: at most 50 open pages for each process."""
MOST_SESSION_SECONDS: Final = 3 * 365 * 86_400


class RealtimeConsole(WebSocketGateway):
    """A web page for operators at `path`: processes, connections, rooms, users, history; sending and disconnecting.

    Mount it after your own gateways: `gateways=[SocketIOGateway(), RealtimeConsole()]`. Open its path in a browser.
    """

    events: ClassVar[Sequence[EventDeclaration]] = (
        down("answer", payloads.Answer, to="the page that asked"),
        down("error", payloads.Error, to="the page whose request was refused"),
    )
    recovery = False
    include_in_schema = False  # the page of an app's events is for those who write clients

    def __init__(
        self,
        path: str = "/realtime-console",
        *,
        secret: str | None = None,
        check: Callable[[Handshake], MaybeAwaitable[bool]] | None = None,
        session_seconds: float = 14_400.0,
    ) -> None:
        """Make the console of a path.

        Args:
            path: where the page and its WebSocket are.
            secret: what operators log in with, at least 16 bytes. Default: `MEW_CONSOLE_SECRET`.
            check: your own check, async or plain: it gets the request's headers and cookies, and returns True for an
                operator, who then needs no secret. It is called for each request and each WebSocket of the page.
            session_seconds: seconds after which operators must log in again, and their pages are disconnected. At most
                three years.

        Raises:
            ConfigurationError: for an argument of a wrong type or value; when it is mounted, if there is neither a
                secret nor a check, or if the secret is too short.
        """
        super().__init__(path, limits=LIMITS, query_token=False, auth_frame=False)
        if secret is not None and not isinstance(secret, str):
            raise ConfigurationError("RealtimeConsole: secret must be text")
        if not (is_positive(session_seconds) and session_seconds <= MOST_SESSION_SECONDS):
            raise ConfigurationError(
                f"RealtimeConsole: session_seconds must be above 0 and at most {MOST_SESSION_SECONDS}, three years"
            )
        self.__secret = secret
        self.__check = None if check is None else self.host_call(check, "check", "handshake")
        self.__seconds = float(session_seconds)
        self.__access: Access
        self.__view: ClusterView

    # Access

    def _origin_policy(self, context: GatewayContext) -> OriginPolicy:
        """Only the console's own page: other origins may use the app, and not this."""
        return OriginPolicy()

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """A session cookie, or the host's check. The page's origin must be the console's own."""
        secret = self.__secret or settings.console_secret
        if secret is None and self.__check is None:
            raise ConfigurationError(
                "RealtimeConsole needs a secret: set MEW_CONSOLE_SECRET, or pass secret= or check=; "
                'make one with: python -c "import secrets; print(secrets.token_urlsafe(24))"'
            )
        if secret is not None and len(secret.encode("utf-8", "surrogatepass")) < MINIMUM_SECRET_BYTES:
            raise ConfigurationError(f"RealtimeConsole: the secret must have at least {MINIMUM_SECRET_BYTES} bytes")
        self.__access = Access(secret=secret, check=self.__check, path=self.name, seconds=self.__seconds)
        return self.__authenticate_operator

    async def __authenticate_operator(self, handshake: Handshake) -> Identity:
        if handshake.origin is None:
            raise Unauthorized(log_reason="no Origin header")
        session = await self.__access.session(handshake)
        if session is None:
            raise Unauthorized(log_reason="no valid session of the console")
        return Identity(user_id=f"operator:{session.id}", expires_at=session.expires_at)

    def http_app(self) -> ASGIApp:
        """The page, its files, and the login."""
        return ConsolePages(self.name, self.__access, self.context.refusals)

    async def on_start(self) -> None:
        """Check that broadcasts without `gateway=` do not go to the console."""
        names = list(self.context.registry)
        if names[0] == self.name and len(names) > 1:
            raise ConfigurationError(
                "RealtimeConsole is the first of the gateways, so broadcasts would go to it; put it last"
            )
        self.__view = ClusterView(self.context)

    # Frames

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """`error`, with the `ref` of the request."""
        ref = sent.get("ref") if isinstance(sent, dict) else None
        known = ref if isinstance(ref, int) and not isinstance(ref, bool) else UNSET
        return self.wire.event_args("error", [payloads.Error(refusal.reply_code, refusal.message, ref=known)])

    async def __answer(self, connection: Connection, asked: payloads.Request, result: Any = None) -> None:
        await connection.send("answer", payloads.Answer(ref=asked.ref, result=result))

    # Questions

    @on("nodes")
    async def _on_nodes(self, asked: payloads.Request, connection: Connection) -> None:
        """The load of each process."""
        await self.__answer(connection, asked, await _available(self.__view.nodes()))

    @on("connections")
    async def _on_connections(self, asked: payloads.ConnectionsRequest, connection: Connection) -> None:
        """A page of connections."""
        await self.__answer(connection, asked, await _available(self.__view.connections(asked)))

    @on("connection")
    async def _on_connection(self, asked: payloads.ConnectionRequest, connection: Connection) -> None:
        """One connection."""
        await self.__answer(connection, asked, await _available(self.__view.connection(asked)))

    @on("rooms")
    async def _on_rooms(self, asked: payloads.RoomsRequest, connection: Connection) -> None:
        """A page of rooms."""
        await self.__answer(connection, asked, await _available(self.__view.rooms(asked)))

    @on("room")
    async def _on_room(self, asked: payloads.RoomRequest, connection: Connection) -> None:
        """The size of one room."""
        found = await _available(self.__view.room(self.__gateway(asked.gateway), RoomName(asked.room)))
        await self.__answer(connection, asked, found)

    @on("online")
    async def _on_online(self, asked: payloads.OnlineRequest, connection: Connection) -> None:
        """A page of the users who are online."""
        self.__gateway(asked.gateway)
        await self.__answer(connection, asked, await _available(self.__view.online(asked)))

    @on("user")
    async def _on_user(self, asked: payloads.UserRequest, connection: Connection) -> None:
        """One user."""
        self.__gateway(asked.gateway)
        await self.__answer(connection, asked, await _available(self.__view.user(asked)))

    @on("history")
    async def _on_history(self, asked: payloads.HistoryRequest, connection: Connection) -> None:
        """The newest events to a room, to a user or to all."""
        gateway = self.__gateway(asked.gateway)
        found = await _available(self.__view.history(gateway, _target(asked), asked.since))
        await self.__answer(connection, asked, found)

    @on("tail")
    async def _on_tail(self, asked: payloads.TailRequest, connection: Connection) -> None:
        """The events after a position."""
        targets: list[Target] = [ToRoom(RoomName(_name(room))) for room in asked.rooms]
        targets += [ToUsers((UserId(_name(user_id)),)) for user_id in asked.users]
        if asked.all:
            targets.append(ToAll())
        found = await _available(self.__view.tail(self.__gateway(asked.gateway), targets, asked.since))
        await self.__answer(connection, asked, found)

    @on("settings")
    async def _on_settings(self, asked: payloads.Request, connection: Connection) -> None:
        """The settings of this process."""
        await self.__answer(connection, asked, self.__view.settings())

    # Changes

    @on("publish")
    async def _on_publish(self, asked: payloads.PublishRequest, connection: Connection) -> None:
        """Send an event."""
        to, data = self.__broadcaster(asked.gateway), asked.data
        volatile, key = asked.volatile, asked.key
        names = ", ".join(asked.names) or asked.name
        self.__log(connection, "sends %r to %s %r of %r", asked.event, asked.to, names, asked.gateway)
        if asked.to == "room":
            sending = to.broadcast_to_room(_name(asked.name), asked.event, data, volatile=volatile, key=key)
        elif asked.to == "all":
            sending = to.broadcast_to_all(asked.event, data, volatile=volatile, key=key)
        else:
            users = asked.names if asked.to == "users" else (_name(asked.name),)
            sending = to.broadcast_to_users(users, asked.event, data, volatile=volatile, key=key)
        receipt = await _valid(sending)
        sent = payloads.Sent(
            position=receipt.position, delivered_here=receipt.delivered_locally, replicated=receipt.replicated
        )
        await self.__answer(connection, asked, sent)

    @on("kick")
    async def _on_kick(self, asked: payloads.KickRequest, connection: Connection) -> None:
        """Close one connection."""
        to = self.__broadcaster(asked.gateway)
        self.__log(connection, "closes the connection %r of %r", asked.id, asked.gateway)
        await _valid(to.disconnect_connection(_name(asked.id), code=asked.code, reason=asked.reason))
        await self.__answer(connection, asked)

    @on("disconnect_user")
    async def _on_disconnect_user(self, asked: payloads.DisconnectUserRequest, connection: Connection) -> None:
        """Close all connections of a user to a gateway, or to all of them."""
        where = None if asked.gateway is None else self.__gateway(asked.gateway)
        self.__log(connection, "disconnects the user %r from %r", asked.user_id, where or "all gateways")
        user_id, code, reason = _name(asked.user_id), asked.code, asked.reason
        await _valid(self.broadcaster.disconnect_user(user_id, code=code, reason=reason, gateway=where))
        await self.__answer(connection, asked)

    @on("disconnect_members")
    async def _on_disconnect_members(self, asked: payloads.DisconnectMembersRequest, connection: Connection) -> None:
        """Close the connections of all members of a room."""
        to, room = self.__broadcaster(asked.gateway), _name(asked.room)
        self.__log(connection, "disconnects the members of the room %r of %r", room, asked.gateway)
        await _valid(to.disconnect_members(room, code=asked.code, reason=asked.reason))
        await self.__answer(connection, asked)

    @on("close_room")
    async def _on_close_room(self, asked: payloads.RoomRequest, connection: Connection) -> None:
        """Take everybody out of a room and of the rooms below it."""
        to, room = self.__broadcaster(asked.gateway), _name(asked.room)
        self.__log(connection, "closes the room %r of %r", room, asked.gateway)
        await _available(to.close_room(room))
        await self.__answer(connection, asked)

    @on("revoke")
    async def _on_revoke(self, asked: payloads.RevokeRequest, connection: Connection) -> None:
        """Revoke the tokens of a user, or one token."""
        if (asked.user_id is None) == (asked.jti is None):
            raise InvalidMessage("name a user or a token")
        if asked.user_id is not None:
            self.__log(connection, "revokes the tokens of the user %r", asked.user_id)
            await _available(self.broadcaster.revoke_user(_name(asked.user_id)))
        else:
            self.__log(connection, "revokes the token %r", asked.jti)
            await _available(self.broadcaster.revoke_token(_name(asked.jti)))
        await self.__answer(connection, asked)

    @on("move")
    async def _on_move(self, asked: payloads.MoveRequest, connection: Connection) -> None:
        """Put a user into a room, or take a user out of it."""
        to, user_id, room = self.__broadcaster(asked.gateway), _name(asked.user_id), _name(asked.room)
        how = "puts the user %r into" if asked.enter else "takes the user %r out of"
        self.__log(connection, how + " the room %r of %r", user_id, room, asked.gateway)
        change = to.add_user_to_room if asked.enter else to.remove_user_from_room
        await _available(change(user_id, room))
        await self.__answer(connection, asked)

    def __gateway(self, gateway: str) -> GatewayName:
        name = GatewayName(gateway)
        if name not in self.context.registry:
            raise InvalidMessage("there is no such gateway")
        return name

    def __broadcaster(self, gateway: str) -> Broadcaster:
        return self.broadcaster.of(self.__gateway(gateway))

    def __log(self, connection: Connection, text: str, *values: object) -> None:
        who = connection.handshake.client_address or "an unknown address"
        extra = log_fields(connection=connection)
        logger.warning("%s: an operator at %s " + text, self.name, who, *values, extra=extra)


async def _available(work: Awaitable[T]) -> T:
    """Await an answer of the processes.

    Raises:
        Refusal: they could not be asked.
    """
    try:
        return await work
    except BrokerUnavailable as error:
        raise Refusal(str(error), code="UNAVAILABLE") from None


async def _valid(change: Awaitable[T]) -> T:
    """Await a change.

    Raises:
        Refusal: it was asked for with a wrong value, or the processes could not be asked.
    """
    try:
        return await _available(change)
    except (ValueError, TypeError, PayloadTooLarge) as error:
        raise InvalidMessage(str(error)) from None


def _name(text: str | None) -> str:
    if not text:
        raise InvalidMessage("a name must not be empty")
    return text


def _target(asked: payloads.HistoryRequest) -> Target:
    if asked.to == "all":
        return ToAll()
    name = _name(asked.name)
    return ToRoom(RoomName(name)) if asked.to == "room" else ToUsers((UserId(name),))
