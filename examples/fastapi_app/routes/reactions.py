"""Reactions: one emoji of one user under a message. Changes are sent to clients."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import delete

from examples.fastapi_app import access as access_to
from examples.fastapi_app import models, schemas
from examples.fastapi_app.database import insert_if_absent
from examples.fastapi_app.dependencies import CurrentUser, Mew, Session
from examples.fastapi_app.errors import Conflict
from examples.fastapi_app.fields import Emoji
from examples.fastapi_app.permissions import Permission
from examples.fastapi_app.service import message_as_stored

router = APIRouter(prefix="/messages/{message_id}/reactions", tags=["reactions"])

EMOJIS_PER_MESSAGE = 20


@router.put("/{emoji}")
async def add_reaction(message_id: str, emoji: Emoji, user: CurrentUser, session: Session, mew: Mew) -> schemas.Message:
    message, access = await access_to.message_access(session, message_id, user.id)
    access.require(Permission.ADD_REACTIONS)
    emojis = {reaction.emoji for reaction in message.reactions}
    if message.retracted or (emoji not in emojis and len(emojis) >= EMOJIS_PER_MESSAGE):
        raise Conflict("this message takes no more reactions")
    is_new = await insert_if_absent(session, models.Reaction, message_id=message_id, emoji=emoji, user_id=user.id)
    await session.commit()
    updated = await message_as_stored(session, message_id)
    if is_new:
        await mew.message_reaction_add(updated.channel_id, updated, recipients=access.recipients)
    return updated


@router.delete("/{emoji}")
async def remove_reaction(
    message_id: str, emoji: Emoji, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Message:
    message, access = await access_to.message_access(session, message_id, user.id)
    removed = await session.execute(
        delete(models.Reaction)
        .where(
            models.Reaction.message_id == message_id,
            models.Reaction.emoji == emoji,
            models.Reaction.user_id == user.id,
        )
        .returning(models.Reaction.emoji)
    )
    changed = removed.first() is not None
    await session.commit()
    updated = await message_as_stored(session, message_id)
    if changed:
        await mew.message_reaction_remove(updated.channel_id, updated, recipients=access.recipients)
    return updated
