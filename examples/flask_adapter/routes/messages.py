"""Messages by REST: send, read missed ones, revoke. Also signs out all devices."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue

from asgi_realtime import ChatMessage, Refusal
from examples.flask_adapter import messages
from examples.flask_adapter.models import Read, new_id, now
from examples.flask_adapter.realtime import notify
from examples.flask_adapter.requests import body, database, user_id

routes = Blueprint("messages", __name__)

PAGE = 100


class NewMessage(msgspec.Struct, rename="camel"):
    to_id: str
    chat_type: Literal["single", "group"]
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = msgspec.field(default_factory=new_id)


@routes.post("/messages")
def send() -> ResponseReturnValue:
    """Sends `message`, as for a message from the socket. The same id again sends nothing."""
    me, new = user_id(), body(NewMessage)
    message = ChatMessage(
        id=new.id, from_id=me, to_id=new.to_id, chat_type=new.chat_type, content=new.content, timestamp=now()
    )
    try:
        with database().session() as session:
            saved = messages.save(session, message)
    except Refusal as refusal:
        abort(403, refusal.message)
    notify(lambda chat: chat.message(saved.message, owed=saved.owed))
    return msgspec.to_builtins(saved.message), 201


@routes.get("/chats/<chat_id>/messages")
def missed(chat_id: str) -> ResponseReturnValue:
    """A page of a chat's messages, oldest first, from after `?after=` (ms since the epoch)."""
    after = max(0, min(request.args.get("after", 0, type=int), now()))  # SQLite's integers have 64 bits
    with database().session() as session:
        page = messages.of_chat(session, user_id(), chat_id, after=after, limit=PAGE)
        return [msgspec.to_builtins(each) for each in page]


@routes.post("/chats/<chat_id>/read")
def read(chat_id: str) -> ResponseReturnValue:
    with database().session.begin() as session:
        session.merge(Read(user_id=user_id(), chat_id=chat_id, until=now()))
    return "", 204


@routes.delete("/messages/<message_id>")
def revoke(message_id: str) -> ResponseReturnValue:
    """Sends `message_revoked` to both sides, or to the group. Only the sender may revoke."""
    me = user_id()
    with database().session() as session:
        message = messages.find(session, me, message_id)
        if message is None:
            abort(404, "no such message of yours")
        already = message.revoked
        message.revoked = True
        session.commit()
        found = messages.as_sent(session, message)
    if not already:
        notify(lambda chat: chat.message_revoked(message_id, from_id=me, to_id=found.to_id, chat_type=found.chat_type))
    return "", 204


@routes.delete("/devices")
def sign_out() -> ResponseReturnValue:
    """Sends `kick` to all devices of the user, to sign out everywhere."""
    me = user_id()
    notify(lambda chat: chat.kick(me, "您已在所有设备退出登录"))
    return "", 204
