"""A gateway that is a WebSocket path with JSON frames: its authentication, and every frame it answers with.

`transports.json_websocket` reads and writes the frames. The gateway decides which frames a client gets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType
from starlette.types import ASGIApp

from asgi_realtime.auth.authenticators import Authenticator, JWTAuthenticator
from asgi_realtime.auth.token_sources import (
    TokenPlace,
    TokenSource,
    token_from_auth,
    token_from_bearer,
    token_from_query,
)
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.connection.connection import Connection, internal
from asgi_realtime.errors import (
    ConfigurationError,
    Forbidden,
    InvalidMessage,
    RateLimited,
    Refusal,
    TooLarge,
    Unauthorized,
)
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.names import check_name
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.replies import Credentials, ErrorMessage, EventAck, NewToken, RecoveryOffer
from asgi_realtime.handlers.event_declarations import EventDeclaration, down, up
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.handlers.once import SendAnswer
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.recovery.json_clients import claim_in, presented
from asgi_realtime.recovery.session import SessionClaim
from asgi_realtime.settings import Settings
from asgi_realtime.values.field_types import is_positive
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json

_PATTERN = re.compile(r"[{}<>*]|/:")
"""What frameworks write for a parameter in a path: `{room}`, `<room>`, `:room` or `*`."""
_CLOSE_CODES = {"TOO_LARGE": 1009, "INTERNAL": 1013, "RATE_LIMITED": 1013}

_OUR_CODES = frozenset(
    {"INTERNAL", *(kind.code for kind in (Refusal, Unauthorized, Forbidden, InvalidMessage, RateLimited, TooLarge))}
)
"""Codes of the package's own refusals. `auth_error` leaves them out, because the close code has the same meaning."""


class Authenticated(msgspec.Struct, frozen=True, rename="camel"):
    """The user that the client authenticated as.

    `recovery` is there if the client can recover, and not after a later `auth`.
    """

    user_id: str
    recovery: RecoveryOffer | UnsetType = UNSET


class Unauthenticated(msgspec.Struct, frozen=True):
    """Why the client was refused. `code` is there if the host's refusal has a code of its own."""

    message: str
    code: str | UnsetType = UNSET


class WebSocketGateway(Gateway):
    """A WebSocket path: subclass it, or make one and declare handlers with `gateway.on`.

    Without an `authenticator` a client needs a JWT: in the first frame, `{"type": "auth", "data":
    {"token": …}}`, in the query as `token`, or in an `Authorization` header.
    """

    events: ClassVar[Sequence[EventDeclaration]] = (
        down("auth_success", Authenticated, to="the client that authenticated"),
        down("auth_error", Unauthenticated, to="the client whose token is not valid, before it is closed with 1008"),
        up("auth", Credentials, effect="authenticates, or replaces the token; answered with `auth_success`"),
        up("ping", effect="answered with `pong`"),
        down("pong", to="the client that sent `ping`"),
    )
    acknowledges: ClassVar[bool] = False
    token_sources: ClassVar[Sequence[TokenSource]] = (
        token_from_auth("token"),
        token_from_query("token"),
        token_from_bearer(),
    )
    recovery = True
    """Whether a client that loses its connection and returns gets the events that it missed. In a class that overrides
    `accepted_frame` it must be set again, because that frame must have what `recovery_offer` returns.
    """
    _answer_has_position = True
    wire: JSONDialect = JSONDialect()
    """How frames are written and read. Replace it for another form, such as `FlatJSONDialect()`."""

    def __init__(
        self,
        path: str,
        *,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
        query_token: bool = True,
        auth_frame: bool = True,
        auth_timeout: float | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        """Make the gateway of a path.

        Args:
            path: where it is mounted, such as `/chat`.
            authenticator: authenticates clients. Default: a JWT.
            limits: bounds of its own. Default: those of the settings.
            query_token: whether `?token=` authenticates. Proxies log queries. Browsers cannot set headers.
            auth_frame: whether a client whose handshake carries no token may send it in a first `auth` frame.
                If not, the handshake must authenticate, for example by a cookie that the `authenticator` reads.
            auth_timeout: seconds until the first `auth` frame, for a client whose handshake carries no
                credential. Default: `Limits.connect_timeout`. Then it is rejected.
            idle_timeout: seconds without a frame from the client, after which it is closed with 1000.
                Default: never. Then only the server's own pings detect a client whose connection is lost.

        Raises:
            ConfigurationError: if the path is not absolute or has a parameter, or a timeout is not greater than 0.
        """
        check_name(path, f"{type(self).__name__}(path)")
        if path.endswith("/") or set(path) & set("?#"):
            raise ConfigurationError(
                f"WebSocketGateway({path!r}): a path looks like /chat, without slash or query at its end; "
                "clients must use exactly this path"
            )
        if "%" in path:
            raise ConfigurationError(
                f"WebSocketGateway({path!r}): write the path without %-escapes; servers decode a client's path"
            )
        if _PATTERN.search(path):
            raise ConfigurationError(
                f"WebSocketGateway({path!r}): a gateway has one path; clients name what they follow in an event, and "
                "join its room"
            )
        for name, flag in (("query_token", query_token), ("auth_frame", auth_frame)):
            if not isinstance(flag, bool):
                raise ConfigurationError(f"WebSocketGateway({path!r}): {name} must be True or False")
        for name, value in (("auth_timeout", auth_timeout), ("idle_timeout", idle_timeout)):
            if value is not None and not is_positive(value):
                raise ConfigurationError(f"WebSocketGateway({path!r}): {name} must be a finite number greater than 0")
        super().__init__(path, authenticator=authenticator, limits=limits)
        self.__query_token = query_token
        self.__auth_frame = auth_frame
        self.__idle_timeout = idle_timeout
        self.__auth_timeout = auth_timeout

    # Authentication

    @property
    def auth_timeout(self) -> float:
        """Seconds until the first `auth` frame."""
        return self.__auth_timeout or self.limits.connect_timeout

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without a frame from the client, after which it is closed. None: never."""
        return self.__idle_timeout

    def has_credential(self, handshake: Handshake) -> bool:
        """Whether the handshake authenticates the client. If not, the first frame must be `auth`.

        If the gateway reads tokens of that frame, a cookie does not replace it: browsers send cookies whether they are
        meant or not.
        """
        if not self.__auth_frame:
            return True
        sources = self.accepted_token_sources()
        if sources is None:
            query_token = self.__query_token and handshake.query.get("token")
            return bool(query_token) or "authorization" in handshake.headers
        if not any(_reads(source, "auth") for source in sources):
            return True  # such a frame would be of no use
        return any(_finds(source, handshake) for source in sources if not _reads(source, "cookie"))

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """A JWT, from one of the `token_sources`."""
        sources = self.token_sources
        if not self.__query_token:
            sources = [source for source in sources if not _reads(source, "query")]
        return JWTAuthenticator(self.jwt_verifier, sources)

    def accepted_token_sources(self) -> Sequence[TokenSource] | None:
        """Where clients may put tokens. None: the authenticator does not say it."""
        found = super().accepted_token_sources()
        if found is None:
            return None
        refused = {place for place, on in (("query", self.__query_token), ("auth", self.__auth_frame)) if not on}
        return [source for source in found if not _reads(source, *refused)]

    def http_app(self) -> ASGIApp | None:
        """What serves HTTP requests to the path and below it, once the gateway is mounted. None: the host app does."""
        return None

    @on("auth")
    async def _on_auth(self, new: NewToken, connection: Connection) -> None:
        """A second `auth` frame replaces the token. The new token must be of the same user."""
        await self.refresh_token(connection, new["token"])
        answer = self.accepted_frame(connection)
        if answer is not None:
            self.push_frame(connection, answer)

    # Recovery

    def recovery_offer(self, connection: Connection) -> RecoveryOffer | UnsetType:
        """What `accepted_frame` tells a client as `recovery`. `UNSET`: it cannot recover, or has been told already."""
        positions = internal(connection).positions
        secret_id = None if positions is None or positions.opened else self.recovery_id(internal(connection))
        if positions is None or secret_id is None or not positions.since:
            return UNSET
        return RecoveryOffer(id=secret_id, position=positions.since, recovered=positions.recovered)

    @property
    def _recovers(self) -> bool:
        """`recovery`, but False if a class has its own `accepted_frame` and does not say that it is for recovery."""
        decisive = next(kind for kind in type(self).__mro__ if {"accepted_frame", "recovery"} & vars(kind).keys())
        return self.recovery and "recovery" in vars(decisive)

    def _gets_positions(self, handshake: Handshake) -> bool:
        """Every client that does not decline: it may ignore a field that it does not know."""
        return presented(handshake) is not False

    def _session_claim(self, handshake: Handshake) -> SessionClaim | None:
        """What the client was told as `recovery`, with the `offset` of the last event as `position`."""
        return claim_in(presented(handshake))

    def check_arrives(self, event: str) -> None:
        """Refuse also `ping`: its answer is `pong_frame`.

        Raises:
            ConfigurationError: for such an event.
        """
        super().check_arrives(event)
        if event == "ping":
            raise ConfigurationError(
                f"{type(self).__name__}: the handler of 'ping' would never be called, because the gateway answers it; "
                "override pong_frame, or give the event another name"
            )

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Make the path known to broadcasters."""
        registry.add(self.name, self.wire, self._limits or limits)

    # The frames for clients. They are made while reading, so none of these may wait

    def accepted_frame(self, connection: Connection) -> Frame | None:
        """The first frame after authentication. What `on_connect` sends comes right after it."""
        accepted = Authenticated(connection.identity.user_id, self.recovery_offer(connection))
        return self.wire.event_args("auth_success", [accepted])

    def rejected_frame(self, refusal: Refusal) -> Frame | None:
        """The frame for a client that is refused. It is then closed with `close_code(refusal)`."""
        code = UNSET if refusal.reply_code in _OUR_CODES else refusal.reply_code
        return self.wire.event_args("auth_error", [Unauthenticated(refusal.message, code)])

    def early_frame(self, event: str) -> Frame | None:
        """The answer to an event (`auth` and `ping` aside) before authentication."""
        return self.error_frame(Unauthorized("authenticate first"), None)

    def pong_frame(self) -> Frame:
        """The answer to `ping`."""
        return self.wire.event("pong")

    def ack_frame(self, event_id: str, values: Sequence[Json]) -> Frame:
        """The answer to an event with an id, of a handler with `once`. `values` are those that the handler returned."""
        result = UNSET if not values else values[0] if len(values) == 1 else list(values)
        return self.wire.event_args("ack", [EventAck(event_id, result)])

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """The frame for an event that was refused or failed. `sent` is its payload, if it could be read."""
        return self.wire.event_args("error", [ErrorMessage(refusal.reply_code, refusal.message)])

    def close_code(self, refusal: Refusal) -> int:
        """The close code after `rejected_frame`, or after the `error` that answers a hostile frame.

        1013 (try again later) for `INTERNAL` and `RATE_LIMITED`, 1009 for `TOO_LARGE`, 1008 for all others.
        """
        return _CLOSE_CODES.get(refusal.reply_code, 1008)

    def _answer_sender(self) -> SendAnswer:
        """The answers are frames."""

        def send(connection: Connection, event_id: str, values: Sequence[Json]) -> None:
            self.push_frame(connection, self.ack_frame(event_id, values))

        return send

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Send `error`."""
        self.push_frame(connection, self.error_frame(refusal, sent[0] if sent else None))


def _reads(source: TokenSource, *places: str) -> bool:
    return isinstance(source, TokenPlace) and source.place in places


def _finds(source: TokenSource, handshake: Handshake) -> bool:
    if _reads(source, "bearer"):
        return "authorization" in handshake.headers  # also one without a token, which is refused
    try:
        return source(handshake) is not None
    except Exception:
        return True  # the authenticator calls it too, and answers the client
