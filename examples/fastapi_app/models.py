"""The tables."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import JSON, DateTime, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Text, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from examples.fastapi_app.permissions import DEFAULT_ROLE, NOTHING, Override, Permission


def new_id() -> str:
    """A new id. Ids sort by creation time, which `?before=` uses."""
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"


def now() -> datetime:
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite stores no zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Permissions(TypeDecorator[Permission]):
    """Permission bits."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Permission | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Permission | None:
        return None if value is None else Permission(value)


class Base(AsyncAttrs, DeclarativeBase):
    """The root of all tables."""

    type_annotation_map = {datetime: Moment, Permission: Permissions, dict[str, Any]: JSON, list[Any]: JSON}


def _parent(column: str) -> Any:
    return mapped_column(ForeignKey(column, ondelete="CASCADE"), index=True)


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    username: Mapped[str] = mapped_column(String(128))
    display_name: Mapped[str] = mapped_column(String(128))
    avatar_url: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Server(Base):
    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    icon_url: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)

    roles: Mapped[list[Role]] = relationship(order_by="Role.id", passive_deletes=True)
    channels: Mapped[list[Channel]] = relationship(order_by="(Channel.position, Channel.id)", passive_deletes=True)


class Role(Base):
    """A named set of permissions. All members have the default role, whose id is the server's."""

    __tablename__ = "roles"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    server_id: Mapped[str] = _parent("servers.id")
    name: Mapped[str]
    permissions: Mapped[Permission] = mapped_column(default=DEFAULT_ROLE)

    @property
    def is_default(self) -> bool:
        return self.id == self.server_id


class MemberRole(Base):
    __tablename__ = "member_roles"
    __table_args__ = (
        ForeignKeyConstraint(["server_id", "user_id"], ["members.server_id", "members.user_id"], ondelete="CASCADE"),
    )

    server_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)


class Member(Base):
    __tablename__ = "members"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    joined_at: Mapped[datetime] = mapped_column(default=now)

    server: Mapped[Server] = relationship()
    user: Mapped[User] = relationship()
    member_roles: Mapped[list[MemberRole]] = relationship(order_by="MemberRole.role_id", passive_deletes=True)

    @property
    def role_ids(self) -> list[str]:
        return [row.role_id for row in self.member_roles]


class Category(Base):
    __tablename__ = "categories"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    server_id: Mapped[str] = _parent("servers.id")
    name: Mapped[str]
    position: Mapped[int] = mapped_column(default=0)


class Channel(Base):
    """A channel of a server, or a DM. A DM has recipients instead of a server."""

    __tablename__ = "channels"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    server_id: Mapped[str | None] = _parent("servers.id")
    category_id: Mapped[str | None] = mapped_column(ForeignKey("categories.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(default="")
    topic: Mapped[str] = mapped_column(Text, default="")
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    dm_key: Mapped[str | None] = mapped_column(String(300), unique=True)
    """For a DM: its two recipients, so that each pair has one channel."""

    overrides: Mapped[list[ChannelOverride]] = relationship(passive_deletes=True, lazy="selectin")
    recipients: Mapped[list[User]] = relationship(secondary="dm_recipients", order_by="User.id", lazy="selectin")

    @property
    def type(self) -> Literal["text", "dm"]:
        return "dm" if self.server_id is None else "text"

    @property
    def private(self) -> bool:
        """Whether the channel is hidden from the default role."""
        return any(
            override.target_id == self.server_id and Permission.VIEW_CHANNEL in override.deny
            for override in self.overrides
            if override.target_type == "role"
        )


class DMRecipient(Base):
    __tablename__ = "dm_recipients"

    channel_id: Mapped[str] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class ChannelOverride(Base):
    """What a channel changes for a role or one user. No foreign key: the target is a role or a user."""

    __tablename__ = "channel_overrides"

    channel_id: Mapped[str] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True)
    target_type: Mapped[Literal["role", "user"]] = mapped_column(String(4), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    allow: Mapped[Permission] = mapped_column(default=NOTHING)
    deny: Mapped[Permission] = mapped_column(default=NOTHING)

    @property
    def rule(self) -> Override:
        return Override(self.target_type, self.target_id, self.allow, self.deny)


class Sticker(Base):
    __tablename__ = "stickers"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    server_id: Mapped[str] = _parent("servers.id")
    name: Mapped[str]
    image_url: Mapped[str] = mapped_column(Text)
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class ReactionGroup(NamedTuple):
    """One emoji under a message, and the users who chose it."""

    emoji: str
    user_ids: list[str]


class Message(Base):
    """A message. Deleting it empties the row, which stays, so that replies still refer to it."""

    __tablename__ = "messages"
    __table_args__ = (Index("messages_by_channel", "channel_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    channel_id: Mapped[str] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    type: Mapped[str]
    content: Mapped[str] = mapped_column(Text)
    plain_text: Mapped[str | None] = mapped_column(Text)
    payload: Mapped[dict[str, Any] | None]
    attachments: Mapped[list[Any]]
    referenced_message_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    edited_at: Mapped[datetime | None]
    retracted: Mapped[bool] = mapped_column(default=False)

    channel: Mapped[Channel] = relationship()
    author: Mapped[User] = relationship()
    reaction_rows: Mapped[list[Reaction]] = relationship(order_by="Reaction.created_at", passive_deletes=True)

    @property
    def reactions(self) -> list[ReactionGroup]:
        """The reactions with their users, oldest emoji first."""
        users: dict[str, list[str]] = {}
        for row in self.reaction_rows:
            users.setdefault(row.emoji, []).append(row.user_id)
        return [ReactionGroup(emoji, user_ids) for emoji, user_ids in users.items()]

    @property
    def server_id(self) -> str | None:
        return self.channel.server_id


class Reaction(Base):
    __tablename__ = "reactions"

    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    emoji: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class BotConfig(Base):
    __tablename__ = "bot_configs"

    service_type: Mapped[str] = mapped_column(primary_key=True)
    bot_id: Mapped[str] = mapped_column(primary_key=True)
    config: Mapped[dict[str, Any]]
    updated_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
