"""The base class of the clients of Socket.IO gateways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from asgi_realtime.client.address import address
from asgi_realtime.client.client import Client
from asgi_realtime.client.errors import Refused
from asgi_realtime.client.events import AnyEvent
from asgi_realtime.client.link import Auth, Given, Json
from asgi_realtime.client.reconnection import DEFAULT_RECONNECTION, Reconnection

if TYPE_CHECKING:
    from asgi_realtime.client.socketio_link import SocketIOLink

E = TypeVar("E", bound=AnyEvent)


class SocketIOClient(Client[E, "SocketIOLink"]):
    """A client of a Socket.IO gateway. Generated modules have subclasses, with a method for each event of clients.

    It does not recover: python-socketio's client cannot. After a loss `Connected.recovered` is false.
    """

    namespace: ClassVar[str] = "/"
    """The namespace of the gateway."""
    token_place: ClassVar[Literal["auth", "bearer"]] = "auth"
    """Where the gateway reads `auth`: in the payload of CONNECT, or in a bearer header."""
    token_name: ClassVar[str] = "token"
    """What a token is called in that payload."""

    def __init__(
        self,
        url: str,
        *,
        auth: Given[Auth] | None = None,
        headers: Given[Mapping[str, str]] | None = None,
        timeout: float = 10.0,
        max_events: int = 1000,
        transports: Sequence[Literal["polling", "websocket"]] = ("websocket",),
        socketio_path: str = "/socket.io",
        reconnection: Reconnection | None = DEFAULT_RECONNECTION,
    ) -> None:
        """Make a client, which is not connected yet.

        Args:
            url: of the server, and the path that the application is mounted at: `https://example.com`.
            auth: a token, or the fields that authenticate the client. A function, async or not, is called before each
                attempt to connect, so that it can return a newer token.
            headers: further headers of the handshake, or a function as for `auth`.
            timeout: seconds for an attempt to connect.
            max_events: events that wait to be taken. One more drops the oldest one, and `Missed` says how many.
            transports: in the order in which they are used. With both, polling is upgraded.
            socketio_path: as `MEW_SOCKETIO_PATH` of the application.
            reconnection: when the client returns after a loss. None: it does not.

        Raises:
            ValueError: if the URL is none, `max_events` is below 1, or `timeout` is not finite and above 0.
        """
        super().__init__(auth=auth, headers=headers, timeout=timeout, max_events=max_events, reconnection=reconnection)
        self._address = address(url, "http", "/" + socketio_path.strip("/"))
        self._transports = transports

    async def _send(self, event: str, *arguments: Json) -> None:
        await self._current().send(event, arguments)

    async def _call(self, event: str, *arguments: Json, timeout: float) -> Any:
        """Send an event and return its acknowledgement.

        Raises:
            Refused: the acknowledgement is a failure.
        """
        values = await self._current().call(event, arguments, timeout)
        answer = values[0] if len(values) == 1 else list(values) or None
        if isinstance(answer, dict) and answer.get("success") is False:
            raise Refused(str(answer.get("message", "refused")), answer.get("code"))
        return answer

    def _new_link(self, auth: Auth | None, headers: Mapping[str, str]) -> SocketIOLink:
        from asgi_realtime.client.socketio_link import SocketIOLink  # imports socketio and aiohttp

        return SocketIOLink(
            url=self._address,
            namespace=self.namespace,
            auth=auth,
            token_place=self.token_place,
            token_name=self.token_name,
            headers=headers,
            transports=self._transports,
            timeout=self._timeout,
            classes=self._classes,
            put=self._receive,
        )
