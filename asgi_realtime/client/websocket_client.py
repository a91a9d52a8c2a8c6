"""The base class of the clients of JSON gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from asgi_realtime.client.address import address
from asgi_realtime.client.client import Client
from asgi_realtime.client.events import AnyEvent
from asgi_realtime.client.link import Auth, Given, Json, Session
from asgi_realtime.client.reconnection import DEFAULT_RECONNECTION, Reconnection
from asgi_realtime.values.field_types import is_positive

if TYPE_CHECKING:
    from asgi_realtime.client.websocket_link import WebSocketLink

E = TypeVar("E", bound=AnyEvent)


class WebSocketClient(Client[E, "WebSocketLink"]):
    """A client of a JSON gateway. Generated modules have subclasses, with a method for each event of clients.

    It recovers: after a loss, missed events come once and in order, if `Connected.recovered` is true.
    """

    path: ClassVar[str] = ""
    """Where the gateway is mounted. Empty: `url` says it."""
    token_place: ClassVar[Literal["auth", "bearer", "query"] | None] = "auth"
    """Where the gateway reads `auth`: in the first frame, in a bearer header, or in the query. None: in none."""
    token_name: ClassVar[str] = "token"
    """What a token is called there."""
    flat_auth: ClassVar[bool] = False
    """Whether the fields of that first frame, `auth`, are beside its `type`."""
    accepted: ClassVar[str | None] = "auth_success"
    """The event that says that the client is accepted. None: the gateway has none."""

    def __init__(
        self,
        url: str,
        *,
        auth: Given[Auth] | None = None,
        headers: Given[Mapping[str, str]] | None = None,
        timeout: float = 10.0,
        max_events: int = 1000,
        max_bytes: int = 1_000_000,
        ping_interval: float = 30.0,
        reconnection: Reconnection | None = DEFAULT_RECONNECTION,
    ) -> None:
        """Make a client, which is not connected yet.

        Args:
            url: of the server, and the path that the application is mounted at: `wss://example.com`. `https` will do.
            auth: a token, or the fields that authenticate the client. A function, async or not, is called before each
                attempt to connect, so that it can return a newer token.
            headers: further headers of the handshake, or a function as for `auth`.
            timeout: seconds for an attempt to connect.
            max_events: events that wait to be taken. One more drops the oldest one, and `Missed` says how many.
            max_bytes: the largest frame. A larger one ends the connection, and the client returns without recovery.
            ping_interval: seconds between two `ping` frames, which keep the connection and the recovery alive.
            reconnection: when the client returns after a loss. None: it does not.

        Raises:
            ValueError: if the gateway reads `auth` nowhere, the URL is none, `max_events` is below 1, or another number
                is not finite and above 0.
        """
        super().__init__(auth=auth, headers=headers, timeout=timeout, max_events=max_events, reconnection=reconnection)
        if auth is not None and self.token_place is None:
            raise ValueError(f"{type(self).__name__} has no place for auth=; authenticate by headers=")
        for name, value in (("max_bytes", max_bytes), ("ping_interval", ping_interval)):
            if not is_positive(value):
                raise ValueError(f"{name}={value!r}: it must be a finite number above 0")
        self._address = address(url, "ws", self.path)
        self._max_bytes = max_bytes
        self._ping_interval = ping_interval
        self._session = Session()

    async def _send(self, event: str, *arguments: Json) -> None:
        await self._current().send({"type": event, "data": arguments[0]} if arguments else {"type": event})

    async def _send_flat(self, event: str, fields: Mapping[str, Json]) -> None:
        await self._current().send({**fields, "type": event})

    def _new_link(self, auth: Auth | None, headers: Mapping[str, str]) -> WebSocketLink:
        from asgi_realtime.client.websocket_link import WebSocketLink  # imports websockets

        return WebSocketLink(
            url=self._address,
            auth=auth,
            headers=headers,
            token_place=self.token_place,
            token_name=self.token_name,
            flat_auth=self.flat_auth,
            accepted=self.accepted,
            ping_interval=self._ping_interval,
            max_bytes=self._max_bytes,
            session=self._session,
            classes=self._classes,
            put=self._receive,
        )
