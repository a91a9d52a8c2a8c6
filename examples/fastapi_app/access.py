"""What a user may do in a server or channel. Loads the rows for `permissions.py`, and raises the refusals.

For a user who may not see something, it does not exist: `NotFound`, not `Forbidden`.
"""

from __future__ import annotations

import dataclasses

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from asgi_realtime import Forbidden
from examples.fastapi_app import models, permissions
from examples.fastapi_app.errors import NotFound
from examples.fastapi_app.permissions import ALL, IN_A_DM, Permission

MEMBERSHIP: tuple[ORMOption, ...] = (
    joinedload(models.Member.user),
    joinedload(models.Member.server).selectinload(models.Server.roles),
    selectinload(models.Member.member_roles),
)
"""The rows below a `Member` that a `Membership` reads."""
MESSAGE: tuple[ORMOption, ...] = (
    joinedload(models.Message.author),
    joinedload(models.Message.channel),
    selectinload(models.Message.reaction_rows),
)
"""The rows below a `Message` that clients receive."""


@dataclasses.dataclass(frozen=True)
class Membership:
    """A user's membership of a server. `member` was loaded with `MEMBERSHIP`."""

    member: models.Member

    @property
    def server(self) -> models.Server:
        return self.member.server

    @property
    def user_id(self) -> str:
        return self.member.user_id

    @property
    def is_owner(self) -> bool:
        return self.server.owner_id == self.user_id

    @property
    def permissions(self) -> Permission:
        """The user's permissions in the server."""
        if self.is_owner:
            return ALL
        return permissions.union(
            role.permissions for role in self.server.roles if role.is_default or role.id in self.member.role_ids
        )

    def in_channel(self, channel: models.Channel) -> Permission:
        """The user's permissions in one of the server's channels."""
        if self.is_owner:
            return ALL
        return permissions.in_channel(
            self.permissions,
            (override.rule for override in channel.overrides),
            default_role_id=self.server.id,
            role_ids=self.member.role_ids,
            user_id=self.user_id,
        )

    def require(self, needed: Permission) -> None:
        """Raise `Forbidden` unless the user has all of these permissions."""
        _require(self.permissions, needed)

    def require_above(self, other: Membership) -> None:
        """Raise `Forbidden` if the other user is the owner or has more permissions."""
        if other.is_owner or other.permissions & ~self.permissions:
            raise Forbidden("this member may do more than you")


@dataclasses.dataclass(frozen=True)
class ChannelAccess:
    """A channel that a user may view. `membership` is None in a DM."""

    channel: models.Channel
    membership: Membership | None
    permissions: Permission

    def require(self, needed: Permission) -> None:
        """Raise `Forbidden` unless the user has all of these permissions in the channel."""
        _require(self.permissions, needed)

    def in_server(self) -> Membership:
        """The user's membership of the channel's server. A DM has no server: `NotFound`."""
        if self.membership is None:
            raise NotFound("no such channel")
        return self.membership

    @property
    def recipients(self) -> list[str] | None:
        """The recipients of the channel's events: the users of a DM, or None for the channel's room."""
        return [user.id for user in self.channel.recipients] if self.channel.server_id is None else None


async def membership_of(session: AsyncSession, server_id: str, user_id: str) -> Membership:
    """The user's membership of the server.

    Raises:
        NotFound: if the server does not exist, or the user is not a member.
    """
    member = await _member(session, server_id, user_id)
    if member is None:
        raise NotFound("no such server")
    return Membership(member)


async def other_member(session: AsyncSession, server_id: str, user_id: str) -> Membership:
    """The membership of another user. The caller must be a member of the server.

    Raises:
        NotFound: if the other user is not a member.
    """
    member = await _member(session, server_id, user_id)
    if member is None:
        raise NotFound("no such member")
    return Membership(member)


async def _member(session: AsyncSession, server_id: str, user_id: str) -> models.Member | None:
    return await session.get(models.Member, (server_id, user_id), options=MEMBERSHIP, populate_existing=True)


async def channel_access(session: AsyncSession, channel_id: str, user_id: str) -> ChannelAccess:
    """The channel, and the user's permissions in it.

    Raises:
        NotFound: if the channel does not exist, or the user may not view it.
    """
    channel = await session.get(models.Channel, channel_id, populate_existing=True)
    if channel is not None and channel.server_id is None:
        if any(user.id == user_id for user in channel.recipients):
            return ChannelAccess(channel, None, IN_A_DM)
    elif channel is not None and channel.server_id is not None:
        member = await _member(session, channel.server_id, user_id)
        if member is not None:
            membership = Membership(member)
            permitted = membership.in_channel(channel)
            if Permission.VIEW_CHANNEL in permitted:
                return ChannelAccess(channel, membership, permitted)
    raise NotFound("no such channel")


async def message_access(session: AsyncSession, message_id: str, user_id: str) -> tuple[models.Message, ChannelAccess]:
    """A message in a channel that the user may view, and the access to it.

    Raises:
        NotFound: if the message does not exist, or the user may not see it.
    """
    message = await load_message(session, message_id)
    if message is None:
        raise NotFound("no such message")
    try:
        return message, await channel_access(session, message.channel_id, user_id)
    except NotFound:
        raise NotFound("no such message") from None


async def load_message(session: AsyncSession, message_id: str) -> models.Message | None:
    """A message with everything that clients receive of it, read from the database again."""
    return await session.get(models.Message, message_id, options=MESSAGE, populate_existing=True)


def _require(permitted: Permission, needed: Permission) -> None:
    if missing := needed & ~permitted:
        raise Forbidden(f"this needs {', '.join(permissions.names(missing))}")
