"""Chat: WebSocket `/chat` (PROTOCOLS.md, section 3). Reads top to bottom as that page."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError, InvalidMessage, Refusal
from asgi_realtime.gateways.base import ClientTransport
from asgi_realtime.gateways.dispatcher import Acknowledge
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits, check_room_name
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.host_calls import method_call
from asgi_realtime.systems.chat.broadcaster import OTHER_DEVICE, ChatBroadcaster
from asgi_realtime.systems.chat.deliveries import Deliveries
from asgi_realtime.systems.chat.events import (
    CHAT_EVENTS,
    ChatMessage,
    ErrorMessage,
    Kick,
    MessageAck,
    NewChatMessage,
    Read,
)
from asgi_realtime.systems.chat.service import ChatService, Delivery, SavedMessage
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import RoomName, ids_from_host
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication

MAX_CONTENT = 10_000
"""Characters (Unicode code points) a message's content may have."""

_TEXTS = {
    "UNAUTHORIZED": "令牌无效或已过期",
    "INVALID_MESSAGE": "消息格式错误",
    "TOO_LARGE": "消息内容过长",
    "RATE_LIMITED": "消息发送过于频繁",
    "INTERNAL": "服务器内部错误",
}
"""What a client reads, by the code of a refusal. A refusal of the host's with another code speaks for itself."""

_BATCH = 200
"""Pending messages asked for at a time."""
_PACE = 0.05
"""Seconds between two looks at whether a client has read enough to be handed more."""

_Mark: TypeAlias = tuple[str, str]
"""What names a message: its sender and its id."""


class _Marked(msgspec.Struct, rename="camel"):
    id: str
    from_id: str


_marks = msgspec.json.Decoder(_Marked)


class _Handover:
    """What a connection is given of the messages from before it came, and what reaches it meanwhile.

    A message can be pending and on its way at the same time: saved before the question, delivered
    after. Whatever went one way is held against the other.
    """

    __slots__ = ("handed", "held", "more", "until")

    def __init__(self) -> None:
        self.handed: set[_Mark] = set()
        self.held: list[_Mark] | None = []
        """What is to be reported once the client is let in: until then nothing is written. None: it is in."""
        self.more = False
        """Whether the host has more than was handed over on connecting."""
        self.until: float | None = None
        """When a message that was handed over can no longer be on its way. None: it is not over yet."""


class ChatGateway(WebSocketGateway):
    """Instant messages between users and in groups. The service saves before anything is delivered.

    Args:
        path: where it is mounted.
        service: the host's database: a `ChatService`, and `OfflineMessages` where it offers them.
        one_device: whether a new login ends the user's older connection, on any process.
        query_token: whether `?token=` authenticates. Proxies log queries.
        auth_timeout: seconds a client may take to send `auth`. Then it is closed with 1008.
        idle_timeout: seconds without a frame from the client, after which it is closed. None: no such limit.
        authenticator: says who connects. Default: a JWT.
        limits: bounds of its own. Default: those of the settings.

    Raises:
        ConfigurationError: for a path that is none, or a service with only one half of `OfflineMessages`.
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
        self._groups_of = method_call(service, "groups_of", ("identity",))
        self._save_message = method_call(service, "save_message", ("identity", "message"))
        self._mark_read = method_call(service, "mark_read", ("identity", "chat_id"))
        self._one_device = one_device
        offers = [hasattr(service, name) for name in ("pending_messages", "messages_delivered")]
        if any(offers) and not all(offers):
            raise ConfigurationError(
                f"{type(service).__name__} has only one of pending_messages and messages_delivered: it needs both"
            )
        self._pending_messages = (
            method_call(service, "pending_messages", ("identity", "limit")) if all(offers) else None
        )
        self._messages_delivered = method_call(service, "messages_delivered", ("batch",)) if all(offers) else None
        self._deliveries: Deliveries | None = None

    async def call_on_start(self) -> None:
        """Begin with no report under way: one of an earlier event loop may hang for ever."""
        if self._messages_delivered is not None:
            self._deliveries = Deliveries(
                self._messages_delivered, tasks=self.context.tasks, timeout=self.limits.handler_timeout
            )
        await super().call_on_start()

    # Coming in

    async def on_connect(self, connection: Connection) -> None:
        """The user's groups, what is pending, and then the older connection's end: whoever fails here kicks nobody."""
        if self._pending_messages is not None:
            connection.state = _Handover()  # before anything is waited for: deliveries are looked at from now on
        await self.context.hub.enter(connection)
        if connection.state is not None:
            await self._hand_over_first(connection)
        if self._one_device:
            await self.broadcaster.take_over(connection, "kick", Kick(OTHER_DEVICE), reason="another device")

    async def rooms_of(self, identity: Identity) -> Mapping[RoomName, RoomName | None]:
        """The user's groups."""
        groups = await self._groups_of(identity)
        return dict.fromkeys(map(RoomName, ids_from_host(groups, "groups_of")))

    async def open(self, handshake: Handshake, transport: ClientTransport) -> Connection:
        """Let a client in. What it was handed over is its own only then."""
        connection = await super().open(handshake, transport)
        handover: _Handover | None = connection.state
        if handover is not None and handover.held is not None:
            held, handover.held = handover.held, None
            if not connection.closed:
                for mark in held:
                    self._note(connection, mark)
                if handover.more:
                    rest = functools.partial(self._guard, "pending_messages", self._hand_over_rest, connection)
                    connection.inbox.submit(rest)
                else:
                    self._end_handover(connection)
        return connection

    # Messages

    @on("message")
    async def _on_message(self, sent: NewChatMessage, connection: Connection) -> None:
        """Checked, saved by the host, delivered, and only then acknowledged with `ack`."""
        message = _checked(sent, connection.identity)
        saved = await self._save_message(connection.identity, message)
        if not isinstance(saved, SavedMessage):
            raise TypeError(f"ChatService.save_message must return SavedMessage, not {type(saved).__qualname__}")
        if saved.owed is None or saved.owed:
            await ChatBroadcaster(self.broadcaster).message(
                _with_sender(saved.message), owed=saved.owed, except_=connection.id
            )
        self.push_event(connection, "ack", MessageAck(message.id))

    @on("read")
    async def _on_read(self, read: Read, identity: Identity) -> None:
        """The host marks the chat as read."""
        if not _is_id(read.chat_id):
            raise _missing()
        await self._mark_read(identity, read.chat_id)

    # What a client reads

    def rejected_frame(self, refusal: Refusal) -> Frame | None:
        """`auth_error`; or `error`, where it is not the token that was wrong."""
        if refusal.reply_code != "UNAUTHORIZED":
            return self.error_frame(refusal, None)
        return self.wire.event_args("auth_error", [{"message": _TEXTS["UNAUTHORIZED"]}])

    def early_frame(self, event: str) -> Frame | None:
        """Not authenticated."""
        return self.error_frame(Refusal("未认证"), None)

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Tell a client no, by `error`."""
        if event not in self.functions:
            refusal = Refusal("未知的消息类型")
        elif isinstance(refusal, InvalidMessage):
            refusal = _missing()
        super().send_refusal(connection, event, sent, refusal, acknowledge)

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """`error`, with the id of the message it is about, if it has one."""
        message_id: Json = sent.get("id") if isinstance(sent, dict) else None
        text = _TEXTS.get(refusal.reply_code, refusal.message)
        about: str | UnsetType = message_id if _is_id(message_id) else UNSET
        return self.wire.event_args("error", [ErrorMessage(text, about)])

    # Messages from before a client came

    def choose_recipients(self, publication: Publication, recipients: Sequence[Connection]) -> Sequence[Connection]:
        """Leave out whoever was handed the message over, and note who gets it now."""
        if self._deliveries is None or publication.event != "message":
            return recipients
        try:
            found = _marks.decode(publication.payload)
        except msgspec.DecodeError:
            return recipients  # an event of the host's own that has this name
        mark = (found.from_id, found.id)
        chosen = [connection for connection in recipients if self._takes(connection, mark)]
        return recipients if len(chosen) == len(recipients) else chosen

    def _takes(self, connection: Connection, mark: _Mark) -> bool:
        handover: _Handover | None = connection.state
        if handover is not None:
            if mark in handover.handed:
                return False
            if handover.until is None:
                handover.handed.add(mark)
            elif handover.until < asyncio.get_running_loop().time():
                connection.state = None
            if handover.held is not None:
                handover.held.append(mark)
                return True
        self._note(connection, mark)
        return True

    def _note(self, connection: Connection, mark: _Mark) -> None:
        if self._deliveries is not None:
            self._deliveries.note(Delivery(connection.identity.user_id, *mark))

    async def _pending(self, connection: Connection) -> list[tuple[_Mark, Frame]]:
        """The next batch, but for what has reached the client already."""
        if self._pending_messages is None or self._deliveries is None:
            return []
        # Else we would be told of what an earlier connection has got.
        await self._deliveries.reported(connection.identity.user_id)
        found: Iterable[ChatMessage] = await self._pending_messages(connection.identity, _BATCH)
        handover: _Handover = connection.state
        return [
            (mark, self.wire.event("message", *encode(_with_sender(message))))
            for message in found
            if (mark := (message.from_id, message.id)) not in handover.handed
        ]

    async def _hand_over_first(self, connection: Connection) -> None:
        """As much as fits into what is held back until the client is in."""
        handover: _Handover = connection.state
        assert handover.held is not None
        batch = await self._pending(connection)
        handover.more = bool(batch)
        room = self.limits.outbox_bytes // 2
        for mark, frame in batch:
            room -= frame.size
            if room < 0:
                break
            handover.handed.add(mark)
            handover.held.append(mark)
            connection.push(frame)

    async def _hand_over_rest(self, connection: Connection) -> None:
        """The rest, as fast as the client reads it. What it does not get now stays pending."""
        try:
            while batch := await self._pending(connection):
                for mark, frame in batch:
                    while connection.behind and not connection.closed:  # noqa: ASYNC110 (nobody is told of reading)
                        await asyncio.sleep(_PACE)
                    if connection.closed:
                        return
                    if self._takes(connection, mark):
                        connection.push(frame)
        finally:
            self._end_handover(connection)

    def _end_handover(self, connection: Connection) -> None:
        handover: _Handover = connection.state
        if not handover.handed:
            connection.state = None
        # Whoever saved a message delivers it within the time that a handler may take.
        handover.until = asyncio.get_running_loop().time() + self.limits.handler_timeout


def _missing() -> Refusal:
    return Refusal("消息缺少必要字段")


def _checked(sent: NewChatMessage, identity: Identity) -> ChatMessage:
    """The message with its defaults, and the server's time.

    Raises:
        Refusal: with the text that the client reads.
    """
    is_empty = not sent.content and not (sent.content_type == "image" and sent.image_url)
    if is_empty or not _is_id(sent.id) or not _is_id(sent.to_id) or not sent.from_id:
        raise _missing()
    if sent.reply_to and not _is_id(sent.reply_to):
        raise _missing()
    if len(sent.content) > MAX_CONTENT or len(sent.image_url or "") > MAX_CONTENT:
        raise Refusal("消息内容过长")
    if sent.from_id != identity.user_id:
        raise Refusal("发送者身份不符")
    return ChatMessage(
        id=sent.id,
        from_id=sent.from_id,
        to_id=sent.to_id,
        chat_type=sent.chat_type,
        content=sent.content,
        timestamp=time.time_ns() // 1_000_000,
        content_type=sent.content_type,
        reply_to=sent.reply_to or "",
        image_url=sent.image_url or "",
    )


_ID_LIMITS = Limits(room_name_bytes=200)


def _is_id(value: Any) -> bool:
    """Whether this can be an id: of a message, a user, or a group, which is a room's name."""
    try:
        check_room_name(value, _ID_LIMITS)
    except InvalidMessage:
        return False
    return True


def _with_sender(message: ChatMessage) -> ChatMessage:
    """In groups there are always a name and an avatar."""
    if message.chat_type == "single":
        return message
    return msgspec.structs.replace(message, from_name=message.from_name or "", from_avatar=message.from_avatar or "")
