"""What one user may do in one server or channel: the rows that `permissions.py` needs, and the refusals.

What a user may not see does not exist for that user: `NotFound`, never `Forbidden`.
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
"""The rows below a `Member` that a `Membership` looks at."""
MESSAGE: tuple[ORMOption, ...] = (
    joinedload(models.Message.author),
    joinedload(models.Message.channel),
    selectinload(models.Message.reaction_rows),
)
"""The rows below a `Message` that clients get to see."""


@dataclasses.dataclass(frozen=True)
class Membership:
    """A user's standing in a server. `member` was loaded with `MEMBERSHIP`."""

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
        """What the user may do in the server as a whole."""
        if self.is_owner:
            return ALL
        return permissions.union(
            role.permissions for role in self.server.roles if role.is_default or role.id in self.member.role_ids
        )

    def in_channel(self, channel: models.Channel) -> Permission:
        """What the user may do in one of the server's channels."""
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
        """Refuse who has not all of these permissions."""
        _require(self.permissions, needed)

    def require_above(self, other: Membership) -> None:
        """Refuse acting on the owner, or on somebody who may do more."""
        if other.is_owner or other.permissions & ~self.permissions:
            raise Forbidden("this member may do more than you")


@dataclasses.dataclass(frozen=True)
class ChannelAccess:
    """A channel that a user may view. `membership` is None in a DM."""

    channel: models.Channel
    membership: Membership | None
    permissions: Permission

    def require(self, needed: Permission) -> None:
        """Refuse who has not all of these permissions here."""
        _require(self.permissions, needed)

    def in_server(self) -> Membership:
        """The user's standing in the channel's server; a DM has none and is not found by who needs one."""
        if self.membership is None:
            raise NotFound("no such channel")
        return self.membership

    @property
    def recipients(self) -> list[str] | None:
        """Whom the channel's events concern: a DM's users, or None for everybody in the channel's room."""
        return [user.id for user in self.channel.recipients] if self.channel.server_id is None else None


async def membership_of(session: AsyncSession, server_id: str, user_id: str) -> Membership:
    """The user's standing in the server.

    Raises:
        NotFound: for a server that is not there or that the user is not in.
    """
    member = await _member(session, server_id, user_id)
    if member is None:
        raise NotFound("no such server")
    return Membership(member)


async def other_member(session: AsyncSession, server_id: str, user_id: str) -> Membership:
    """The standing of somebody else, for who is in the server.

    Raises:
        NotFound: for a user who is not in it.
    """
    member = await _member(session, server_id, user_id)
    if member is None:
        raise NotFound("no such member")
    return Membership(member)


async def _member(session: AsyncSession, server_id: str, user_id: str) -> models.Member | None:
    return await session.get(models.Member, (server_id, user_id), options=MEMBERSHIP, populate_existing=True)


async def channel_access(session: AsyncSession, channel_id: str, user_id: str) -> ChannelAccess:
    """The channel, and what the user may do in it.

    Raises:
        NotFound: for a channel that is not there or that the user may not view.
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
        NotFound: for a message that is not there or that the user may not see.
    """
    message = await load_message(session, message_id)
    if message is None:
        raise NotFound("no such message")
    try:
        return message, await channel_access(session, message.channel_id, user_id)
    except NotFound:
        raise NotFound("no such message") from None


async def load_message(session: AsyncSession, message_id: str) -> models.Message | None:
    """A message with all that clients get to see of it, as the database has it now."""
    return await session.get(models.Message, message_id, options=MESSAGE, populate_existing=True)


def _require(permitted: Permission, needed: Permission) -> None:
    if missing := needed & ~permitted:
        raise Forbidden(f"this needs {', '.join(permissions.names(missing))}")
