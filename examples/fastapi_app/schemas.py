"""The JSON of requests and responses. Events contain the same JSON as responses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from examples.fastapi_app.fields import (
    Content,
    Id,
    ImageURL,
    JsonList,
    JsonObject,
    Name,
    PermissionNames,
    Place,
    Topic,
    Type,
    UserId,
)
from examples.fastapi_app.permissions import NOTHING

DEFAULT_TYPE = "message/default"


class Schema(BaseModel):
    """camelCase on the wire; made from table rows."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Change(Schema):
    """The body of a PATCH. A field that is left out does not change. The defaults here mean “left out”."""

    def apply(self, row: object) -> None:
        """Write the fields that were sent to a row."""
        for field in self.model_fields_set:
            setattr(row, field, getattr(self, field))


# Users


class User(Schema):
    id: str
    username: str
    display_name: str
    avatar_url: str | None
    created_at: datetime


class UserChange(Change):
    display_name: Name = ""
    avatar_url: ImageURL | None = None


class Login(Schema):
    user_id: UserId


class Token(Schema):
    token: str


# Servers


class Server(Schema):
    id: str
    name: str
    icon_url: str | None
    owner_id: str
    created_at: datetime


class NewServer(Schema):
    name: Name
    icon_url: ImageURL | None = None


class ServerChange(Change):
    name: Name = ""
    icon_url: ImageURL | None = None


class ServerGone(Schema):
    server_id: str


class OwnPermissions(Schema):
    server_id: str
    permissions: PermissionNames
    channels: dict[str, PermissionNames]


class Member(Schema):
    server_id: str
    user_id: str
    user: User
    role_ids: list[str]
    joined_at: datetime


class NewMember(Schema):
    user_id: Id | None = None


class MemberGone(Schema):
    server_id: str
    user_id: str


class Role(Schema):
    id: str
    server_id: str
    name: str
    permissions: PermissionNames
    is_default: bool


class NewRole(Schema):
    name: Name
    permissions: PermissionNames = NOTHING


class RoleChange(Change):
    name: Name = ""
    permissions: PermissionNames = NOTHING


class RoleGone(Schema):
    server_id: str
    role_id: str


class Category(Schema):
    id: str
    server_id: str
    name: str
    position: int


class NewCategory(Schema):
    name: Name
    position: Place = 0


class CategoryChange(Change):
    name: Name = ""
    position: Place = 0


class CategoryGone(Schema):
    category_id: str
    server_id: str


class Sticker(Schema):
    id: str
    server_id: str
    name: str
    image_url: str
    creator_id: str
    created_at: datetime


class NewSticker(Schema):
    name: Name
    image_url: ImageURL


class StickerChange(Change):
    name: Name = ""
    image_url: ImageURL = ""


class StickerGone(Schema):
    sticker_id: str
    server_id: str


# Channels


class Channel(Schema):
    id: str
    type: Literal["text", "dm"]
    server_id: str | None
    category_id: str | None
    name: str
    topic: str
    position: int
    private: bool
    created_at: datetime


class DMChannel(Channel):
    recipients: list[User]


class NewChannel(Schema):
    name: Name
    topic: Topic = ""
    category_id: Id | None = None
    position: Place = 0
    private: bool = False


class ChannelChange(Change):
    name: Name = ""
    topic: Topic = ""
    category_id: Id | None = None
    position: Place = 0


class ChannelGone(Schema):
    channel_id: str
    server_id: str


class Override(Schema):
    target_type: Literal["role", "user"]
    target_id: str
    allow: PermissionNames
    deny: PermissionNames


class NewOverride(Schema):
    allow: PermissionNames = NOTHING
    deny: PermissionNames = NOTHING


class OverrideGone(Schema):
    channel_id: str
    target_id: str


# Messages


class ReactionGroup(Schema):
    emoji: str
    user_ids: list[str]


class Message(Schema):
    id: str
    channel_id: str
    server_id: str | None
    author_id: str
    author: User
    type: str
    content: str
    plain_text: str | None
    payload: dict[str, JsonValue] | None
    attachments: list[JsonValue]
    referenced_message_id: str | None
    reactions: list[ReactionGroup]
    created_at: datetime
    edited_at: datetime | None
    retracted: bool


class NewMessage(Schema):
    """A message to write: text, attachments, or another type."""

    content: Content = ""
    attachments: JsonList = []
    referenced_message_id: Id | None = None
    type: Type = DEFAULT_TYPE
    payload: JsonObject | None = None
    plain_text: Content | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _says_something(self) -> NewMessage:
        if self.type == DEFAULT_TYPE and not self.content.strip() and not self.attachments:
            raise ValueError("a message needs content or attachments")
        return self


class MessageChange(Schema):
    content: Annotated[Content, StringConstraints(min_length=1, pattern=r"\S")]


# Infra


class BotConfig(Schema):
    service_type: str
    bot_id: str
    config: dict[str, JsonValue]
    updated_at: datetime
