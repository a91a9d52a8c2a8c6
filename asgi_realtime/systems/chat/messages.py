"""Checks of the messages that clients send, and the messages that are saved and delivered."""

from __future__ import annotations

from typing import Any

import msgspec

from asgi_realtime.errors import InvalidMessage, Refusal
from asgi_realtime.limits import Limits, check_room_name
from asgi_realtime.runtime import time_source
from asgi_realtime.systems.chat.events import ChatMessage, NewChatMessage
from asgi_realtime.values.identity import Identity

MAX_CONTENT = 10_000
"""Maximum length of a message's content, in characters."""

_ID_LIMITS = Limits(room_name_bytes=200)


def checked_message(sent: NewChatMessage, identity: Identity) -> ChatMessage:
    """Return the message with its defaults and the server's time.

    Raises:
        Refusal: with the text for the client.
    """
    is_empty = not sent.content and not (sent.content_type == "image" and sent.image_url)
    if is_empty or not is_id(sent.id) or not is_id(sent.to_id) or not sent.from_id:
        raise missing_fields()
    if sent.reply_to and not is_id(sent.reply_to):
        raise missing_fields()
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
        timestamp=int(time_source.wall() * 1000),
        content_type=sent.content_type,
        reply_to=sent.reply_to or "",
        image_url=sent.image_url or "",
    )


def missing_fields() -> Refusal:
    """The refusal of a message with missing or invalid fields."""
    return Refusal("消息缺少必要字段")


def is_id(value: Any) -> bool:
    """Whether this can be the id of a message, a user or a group. A group's id is the name of a room."""
    try:
        check_room_name(value, _ID_LIMITS)
    except InvalidMessage:
        return False
    return True


def with_sender(message: ChatMessage) -> ChatMessage:
    """Return the message as it is delivered: in groups it always has a name and an avatar."""
    if message.chat_type == "single":
        return message
    return msgspec.structs.replace(message, from_name=message.from_name or "", from_avatar=message.from_avatar or "")
