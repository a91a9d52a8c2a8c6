"""Messages: reading, writing, editing, retracting."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import delete, select

from asgi_realtime import BrokerUnavailable, Forbidden
from examples.fastapi_app import access as access_to
from examples.fastapi_app import models, schemas
from examples.fastapi_app.access import ChannelAccess
from examples.fastapi_app.dependencies import CurrentUser, InChannel, Mew, Session
from examples.fastapi_app.errors import Conflict, NotFound
from examples.fastapi_app.permissions import Permission
from examples.fastapi_app.service import message_as_stored, post_message

router = APIRouter(tags=["messages"])


@router.get("/channels/{channel_id}/messages", response_model=list[schemas.Message])
async def list_messages(
    access: InChannel,
    session: Session,
    mew: Mew,
    response: Response,
    before: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[models.Message]:
    """The newest messages (before one of them), the oldest first. `X-Position` is for `channel/follow`."""
    await session.commit()  # releases the database connection, so that none is held while the broker is asked
    with suppress(BrokerUnavailable):  # without it, a client that returns loads the messages again
        response.headers["X-Position"] = await mew.position(access.channel.id)
    newest = select(models.Message).where(models.Message.channel_id == access.channel.id)
    if before is not None:
        newest = newest.where(models.Message.id < before)
    newest = newest.options(*access_to.MESSAGE).order_by(models.Message.id.desc()).limit(limit)
    return list((await session.scalars(newest)).all())[::-1]


@router.post("/channels/{channel_id}/messages", status_code=201)
async def create_message(
    new: schemas.NewMessage, access: InChannel, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Message:
    return await post_message(session, mew, access, user.id, new)


@router.post("/servers/{server_id}/channels/{channel_id}/messages", status_code=201)
async def create_server_message(
    server_id: str, new: schemas.NewMessage, access: InChannel, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Message:
    if access.channel.server_id != server_id:
        raise NotFound("no such channel")
    return await post_message(session, mew, access, user.id, new)


@router.get("/messages/{message_id}", response_model=schemas.Message)
async def get_message(message_id: str, user: CurrentUser, session: Session) -> models.Message:
    message, _ = await access_to.message_access(session, message_id, user.id)
    return message


@router.patch("/messages/{message_id}")
async def edit_message(
    message_id: str, change: schemas.MessageChange, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Message:
    message, access = await access_to.message_access(session, message_id, user.id)
    if message.author_id != user.id:
        raise Forbidden("only its author can edit a message")
    access.require(Permission.SEND_MESSAGES)
    if message.retracted:
        raise Conflict("this message was retracted")
    message.content, message.plain_text, message.edited_at = change.content, None, models.now()
    return await _save_and_tell(message, access, session, mew)


@router.delete("/messages/{message_id}")
async def retract_message(message_id: str, user: CurrentUser, session: Session, mew: Mew) -> schemas.Message:
    """Empty the message. Clients receive an update, so that they can show that a message was deleted."""
    message, access = await access_to.message_access(session, message_id, user.id)
    if message.author_id != user.id:
        access.require(Permission.MANAGE_MESSAGES)
    if message.retracted:
        return await message_as_stored(session, message_id)
    message.retracted = True
    message.content, message.plain_text, message.payload, message.attachments = "", None, None, []
    await session.execute(delete(models.Reaction).where(models.Reaction.message_id == message_id))
    return await _save_and_tell(message, access, session, mew)


async def _save_and_tell(message: models.Message, access: ChannelAccess, session: Session, mew: Mew) -> schemas.Message:
    await session.commit()
    updated = await message_as_stored(session, message.id)
    await mew.message_update(updated.channel_id, updated, recipients=access.recipients)
    return updated
