"""The Chat gateway: WebSocket `/chat` (docs/reference/protocols.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import UNSET, UnsetType

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import BrokerUnavailable, Disconnect, InvalidMessage, Refusal
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.systems.chat.broadcaster import OTHER_DEVICE, ChatBroadcaster
from asgi_realtime.systems.chat.events import CHAT_EVENTS, ErrorMessage, Kick, MessageAck, NewChatMessage, Read
from asgi_realtime.systems.chat.messages import checked_message, is_id, missing_fields, with_sender
from asgi_realtime.systems.chat.offline_delivery import OfflineDelivery
from asgi_realtime.systems.chat.service import ChatService, SavedMessage
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ids_from_host
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication

_TEXTS = {
    "UNAUTHORIZED": "令牌无效或已过期",
    "INVALID_MESSAGE": "消息格式错误",
    "TOO_LARGE": "消息内容过长",
    "RATE_LIMITED": "消息发送过于频繁",
    "INTERNAL": "服务器内部错误",
}
"""Texts for clients, by the code of the refusal. A refusal with another code keeps its own message."""


class ChatGateway(WebSocketGateway):
    """Instant messages between users and in groups. The service saves a message before it is delivered.

    Args:
        path: where it is mounted.
        service: the host's database: a `ChatService`, which may have the methods of `OfflineMessages` too.
        one_device: whether a new login ends the user's older connection, on any process.
        query_token: whether `?token=` authenticates. Proxies log queries.
        auth_timeout: seconds in which a client must send `auth`. Then it is closed with 1008.
        idle_timeout: seconds without a frame from the client, after which it is closed. None: no such limit.
        authenticator: authenticates clients. Default: a JWT.
        limits: limits of this gateway. Default: those of the settings.

    Raises:
        ConfigurationError: if the path is not absolute, or the service has only one method of `OfflineMessages`.
    """

    events = CHAT_EVENTS

    def __init__(
        self,
        path: str = "/chat",
        *,
        service: ChatService,
        one_device: bool = True,
        query_token: bool = True,
        auth_timeout: float = 10.0,
        idle_timeout: float | None = None,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            path,
            authenticator=authenticator,
            limits=limits,
            query_token=query_token,
            auth_timeout=auth_timeout,
            idle_timeout=idle_timeout,
        )
        self.__groups_of = self.service_call(service, "groups_of", "identity")
        self.__save_message = self.service_call(service, "save_message", "identity", "message")
        self.__mark_read = self.service_call(service, "mark_read", "identity", "chat_id")
        self.__offline = OfflineDelivery(self, service) if OfflineDelivery.is_offered_by(service) else None
        self.__one_device = one_device

    # Connecting

    def rejected_frame(self, refusal: Refusal) -> Frame | None:
        """`auth_error` if the token is not valid, else `error`."""
        if refusal.reply_code != "UNAUTHORIZED":
            return self.error_frame(refusal, None)
        return self.wire.event_args("auth_error", [{"message": _TEXTS["UNAUTHORIZED"]}])

    async def on_connect(self, connection: Connection) -> None:
        """Enter the user's groups, and send pending messages. A client that recovers gets what it missed first."""
        if self.__offline is not None:
            self.__offline.begin(connection)
        await self.enter_rooms(connection)
        if self.__offline is not None:
            await self.__offline.send_first(connection)

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        """Return the user's groups."""
        groups = await self.__groups_of(identity)
        return dict.fromkeys(ids_from_host(groups, "groups_of"))

    def connection_opened(self, connection: Connection) -> None:
        """End the user's older connection. Report the messages that were sent in `on_connect`, and send the rest.

        The older connection ends only now, so that a client that is refused ends none.
        """
        if self.__one_device:
            self.run_later(connection, "take_over", self.__take_over)
        if self.__offline is not None:
            self.__offline.connected(connection)

    async def __take_over(self, connection: Connection) -> None:
        try:
            await self.broadcaster.take_over(connection, "kick", Kick(OTHER_DEVICE), reason="another device")
        except BrokerUnavailable:
            # The older connection stays. The client may come back.
            raise Disconnect(1013, "try again later") from None

    # Messages

    @on("message")
    async def _on_message(self, sent: NewChatMessage, connection: Connection) -> None:
        """Check the message, let the host save it, deliver it, and acknowledge it with `ack`."""
        message = checked_message(sent, connection.identity)
        saved = await self.__save_message(connection.identity, message)
        if not isinstance(saved, SavedMessage):
            raise TypeError(f"ChatService.save_message must return SavedMessage, not {type(saved).__qualname__}")
        if saved.owed is None or saved.owed:
            await ChatBroadcaster(self.broadcaster).message(
                with_sender(saved.message), owed=saved.owed, except_=connection.id
            )
        await connection.send("ack", MessageAck(message.id))

    @on("read")
    async def _on_read(self, read: Read, identity: Identity) -> None:
        """Let the host mark the chat as read."""
        if not is_id(read.chat_id):
            raise missing_fields()
        await self.__mark_read(identity, read.chat_id)

    def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
        """Leave out connections that got a message as a pending one."""
        return None if self.__offline is None else self.__offline.recipient_filter(publication)

    # Errors

    def early_frame(self, event: str) -> Frame | None:
        """`error`: the client has not authenticated yet."""
        return self.error_frame(Refusal("未认证"), None)

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Send `error`."""
        if event not in self.functions:
            refusal = Refusal("未知的消息类型")
        elif isinstance(refusal, InvalidMessage):
            refusal = missing_fields()
        super().send_refusal(connection, event, sent, refusal, acknowledge)

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """`error`, with the id of the message that was refused, if it has one."""
        message_id: Json = sent.get("id") if isinstance(sent, dict) else None
        text = _TEXTS.get(refusal.reply_code, refusal.message)
        about: str | UnsetType = message_id if is_id(message_id) else UNSET
        return self.wire.event_args("error", [ErrorMessage(text, about)])
