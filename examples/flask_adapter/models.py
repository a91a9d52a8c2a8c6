"""The tables."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def new_id() -> str:
    return secrets.token_urlsafe(9)


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Base(DeclarativeBase):
    """The root of all tables."""

    type_annotation_map = {list[str]: JSON}


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    avatar: Mapped[str] = mapped_column(default="")


class FriendRequest(Base):
    """Two users are friends if a request between them was accepted."""

    __tablename__ = "friend_requests"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    from_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    to_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    accepted: Mapped[bool] = mapped_column(default=False)
    created: Mapped[int] = mapped_column(default=now)

    __table_args__ = (Index("one_request_each_way", "from_id", "to_id", unique=True),)


class Block(Base):
    __tablename__ = "blocks"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    blocked_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)


class Group(Base):
    __tablename__ = "groups"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    announcement: Mapped[str] = mapped_column(default="")


class Member(Base):
    __tablename__ = "members"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    muted: Mapped[bool] = mapped_column(default=False)


class Invitation(Base):
    __tablename__ = "invitations"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)


class Message(Base):
    """A message is identified by `from_id` and the `id` that its sender chose. `number` is the order of arrival."""

    __tablename__ = "messages"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    from_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    id: Mapped[str]
    to_id: Mapped[str]
    chat_type: Mapped[str]
    content: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str]
    reply_to: Mapped[str]
    image_url: Mapped[str] = mapped_column(Text)
    timestamp: Mapped[int]
    revoked: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        Index("one_message_for_each_id", "from_id", "id", unique=True),
        Index("messages_of_a_chat", "to_id", "from_id", "timestamp"),
    )


class Owed(Base):
    """A user who has not received a message yet."""

    __tablename__ = "owed"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    from_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)


class Read(Base):
    """The time up to which a user has read a chat with another user or a group."""

    __tablename__ = "reads"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    chat_id: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[int] = mapped_column(default=now)


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[str]
    status: Mapped[str] = mapped_column(default="PENDING")
    stages: Mapped[list[str]]
    fail_at: Mapped[str | None]
    stage_seconds: Mapped[float]
    current_stage: Mapped[str | None]
    completed: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=now, onupdate=now)
