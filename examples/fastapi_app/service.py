"""The app's side of the Mew gateway: which rooms a user is in, and how a message is written.

REST routes use the same function to write messages, so both check, save and broadcast alike.
"""

from __future__ import annotations

import msgspec
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from asgi_realtime import Forbidden, Identity, InvalidMessage, MewBroadcaster
from asgi_realtime.systems.mew import MessageCreate, UserRooms
from examples.fastapi_app import access, models, schemas
from examples.fastapi_app.access import ChannelAccess, Membership
from examples.fastapi_app.database import Database, insert_if_absent
from examples.fastapi_app.errors import NotFound
from examples.fastapi_app.permissions import Permission


class MewDatabaseService:
    """A `MewService` on the app's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms_of(self, identity: Identity) -> UserRooms:
        """The servers the user is in with the channels the user may view, and the user's DMs."""
        async with self._database.sessions() as session:
            user = await ensure_user(session, identity.user_id)
            members = await session.scalars(
                select(models.Member)
                .where(models.Member.user_id == user.id)
                .options(
                    joinedload(models.Member.server).selectinload(models.Server.channels),
                    *access.MEMBERSHIP,
                )
            )
            dms = await session.scalars(
                select(models.DMRecipient.channel_id).where(models.DMRecipient.user_id == user.id)
            )
            return UserRooms(
                servers={member.server_id: _visible_channels(Membership(member)) for member in members},
                dms=list(dms),
            )

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        """Write a message from a socket. The gateway answers any exception with `error`."""
        try:
            new = schemas.NewMessage.model_validate(msgspec.structs.asdict(message))
        except ValidationError as error:
            raise InvalidMessage(error.errors(include_input=False)[0]["msg"]) from None
        async with self._database.sessions() as session:
            channel = await access.channel_access(session, message.channel_id, identity.user_id)
            await post_message(session, broadcaster, channel, identity.user_id, new)


class ServerRooms:
    """Decides who may join a room of Events: members of a server may join the room with the server's id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def may_join(self, identity: Identity, room: str) -> bool:
        """Whether the user is a member of the server."""
        async with self._database.sessions() as session:
            return await session.get(models.Member, (room, identity.user_id)) is not None


async def post_message(
    session: AsyncSession,
    broadcaster: MewBroadcaster,
    channel: ChannelAccess,
    author_id: str,
    new: schemas.NewMessage,
) -> schemas.Message:
    """Save a message, then send it to the clients that may read it.

    Raises:
        Forbidden: the author may not write here.
        InvalidMessage: it replies to a message that is not in this channel.
    """
    channel.require(Permission.SEND_MESSAGES)
    if new.referenced_message_id is not None:
        referenced = await session.get(models.Message, new.referenced_message_id)
        if referenced is None or referenced.channel_id != channel.channel.id:
            raise InvalidMessage("the message it answers is not in this channel")
    row = models.Message(channel_id=channel.channel.id, author_id=author_id, **new.model_dump())
    session.add(row)
    await session.commit()
    message = await message_as_stored(session, row.id)
    await broadcaster.message_create(channel.channel.id, message, recipients=channel.recipients)
    return message


async def message_as_stored(session: AsyncSession, message_id: str) -> schemas.Message:
    """The message as clients receive it, read from the database again.

    Raises:
        NotFound: the channel has just been deleted.
    """
    row = await access.load_message(session, message_id)
    if row is None:
        raise NotFound("no such message")
    message = schemas.Message.model_validate(row)
    await session.commit()  # releases the database connection, so that none is held during the broadcast
    return message


async def ensure_user(session: AsyncSession, user_id: str) -> models.User:
    """The user of a verified token. A user who is new to this app gets an account.

    Raises:
        Forbidden: if this app cannot store the id.
    """
    user = await session.get(models.User, user_id)
    if user is None:
        try:
            login = schemas.Login(user_id=user_id)
        except ValidationError:
            raise Forbidden("this user id cannot be used here") from None
        await insert_if_absent(session, models.User, id=login.user_id, username=user_id, display_name=user_id)
        await session.commit()
        user = await session.get_one(models.User, user_id)
    return user


def _visible_channels(membership: Membership) -> list[str]:
    return [
        channel.id
        for channel in membership.server.channels
        if Permission.VIEW_CHANNEL in membership.in_channel(channel)
    ]
