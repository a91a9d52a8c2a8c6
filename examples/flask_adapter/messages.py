"""Saving and finding messages, for messages from the socket and from REST."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from asgi_realtime import Blocked, ChatMessage, Delivery, Muted, NotAMember, Refusal, SavedMessage
from examples.flask_adapter.models import Block, Member, Message, Owed, User


def save(session: Session, message: ChatMessage) -> SavedMessage:
    """Save a message and commit. If it was saved before, return what was saved and who has not received it yet.

    Raises:
        Refusal: the message may not be sent.
    """
    saved = find(session, message.from_id, message.id)
    if saved is None:
        receivers = _receivers(session, message)
        row = Message(
            from_id=message.from_id,
            id=message.id,
            to_id=message.to_id,
            chat_type=message.chat_type,
            content=message.content,
            content_type=message.content_type,
            reply_to=message.reply_to,
            image_url=message.image_url,
            timestamp=message.timestamp,
        )
        session.add(row)
        session.add_all([Owed(user_id=user_id, from_id=message.from_id, id=message.id) for user_id in receivers])
        try:
            session.commit()
        except IntegrityError:  # another connection has just saved the same message
            session.rollback()
            saved = find(session, message.from_id, message.id)
            if saved is None:
                raise
        else:
            return SavedMessage(as_sent(session, row))
    owed = session.scalars(select(Owed.user_id).where(Owed.from_id == message.from_id, Owed.id == message.id))
    return SavedMessage(as_sent(session, saved), owed=list(owed))


def find(session: Session, from_id: str, message_id: str) -> Message | None:
    return session.scalar(select(Message).where(Message.from_id == from_id, Message.id == message_id))


def _receivers(session: Session, message: ChatMessage) -> list[str]:
    if message.chat_type == "single":
        if session.get(User, message.to_id) is None:
            raise Refusal("用户不存在")  # no such user
        if session.get(Block, (message.to_id, message.from_id)) is not None:
            raise Blocked
        return [message.to_id]
    members = session.scalars(select(Member).where(Member.group_id == message.to_id)).all()
    sender = next((member for member in members if member.user_id == message.from_id), None)
    if sender is None:
        raise NotAMember
    if sender.muted:
        raise Muted
    return [member.user_id for member in members if member is not sender]


def as_sent(session: Session, row: Message) -> ChatMessage:
    """A row as clients receive it. In groups it contains the sender's name and avatar."""
    sender = session.get(User, row.from_id) if row.chat_type == "group" else None
    named = {} if sender is None else {"from_name": sender.name, "from_avatar": sender.avatar}
    return ChatMessage(
        id=row.id,
        from_id=row.from_id,
        to_id=row.to_id,
        chat_type="group" if row.chat_type == "group" else "single",
        content=row.content,
        timestamp=row.timestamp,
        content_type="image" if row.content_type == "image" else "text",
        reply_to=row.reply_to,
        image_url=row.image_url,
        **named,
    )


def pending(session: Session, user_id: str, limit: int) -> list[ChatMessage]:
    """The oldest messages that a user has not received."""
    rows = session.scalars(
        select(Message)
        .join(Owed, and_(Owed.from_id == Message.from_id, Owed.id == Message.id))
        .where(Owed.user_id == user_id, Message.revoked.is_(False))
        .order_by(Message.number)
        .limit(limit)
    )
    return [as_sent(session, row) for row in rows.all()]


def delivered(session: Session, deliveries: Sequence[Delivery]) -> None:
    """Delete the entries of messages that were delivered."""
    done = [(each.user_id, each.from_id, each.message_id) for each in deliveries]
    for start in range(0, len(done), 300):  # SQLite takes about a thousand parameters
        keys = done[start : start + 300]
        session.execute(delete(Owed).where(tuple_(Owed.user_id, Owed.from_id, Owed.id).in_(keys)))
    session.commit()


def of_chat(session: Session, user_id: str, chat_id: str, *, after: int, limit: int) -> list[ChatMessage]:
    """The messages of a chat after a time, oldest first, for a client that was offline."""
    group = session.get(Member, (chat_id, user_id)) is not None
    sent = and_(Message.from_id == user_id, Message.to_id == chat_id)
    received = and_(Message.from_id == chat_id, Message.to_id == user_id)
    where = Message.to_id == chat_id if group else and_(Message.chat_type == "single", or_(sent, received))
    rows = session.scalars(
        select(Message)
        .where(where, Message.timestamp > after, Message.revoked.is_(False))
        .order_by(Message.number)
        .limit(limit)
    )
    return [as_sent(session, row) for row in rows.all()]
