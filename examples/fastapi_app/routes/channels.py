"""Channels of a server. REST never shows a channel to a user who may not view it."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import delete, select

from asgi_realtime import InvalidMessage
from examples.fastapi_app import models, schemas
from examples.fastapi_app.dependencies import InChannel, InServer, Mew, Session
from examples.fastapi_app.permissions import Permission

router = APIRouter(tags=["channels"])


@router.get("/servers/{server_id}/channels", response_model=list[schemas.Channel])
async def list_channels(membership: InServer, session: Session) -> list[models.Channel]:
    channels = await session.scalars(
        select(models.Channel)
        .where(models.Channel.server_id == membership.server.id)
        .order_by(models.Channel.position, models.Channel.id)
    )
    return [channel for channel in channels if Permission.VIEW_CHANNEL in membership.in_channel(channel)]


@router.post("/servers/{server_id}/channels", status_code=201)
async def create_channel(new: schemas.NewChannel, membership: InServer, session: Session, mew: Mew) -> schemas.Channel:
    membership.require(Permission.MANAGE_CHANNELS)
    await _check_category(session, membership.server.id, new.category_id)
    row = models.Channel(
        id=models.new_id(), server_id=membership.server.id, overrides=[], **new.model_dump(exclude={"private"})
    )
    if new.private:
        # From the start it is hidden from all users but its creator.
        row.overrides = [
            models.ChannelOverride(target_type="role", target_id=membership.server.id, deny=Permission.VIEW_CHANNEL),
            models.ChannelOverride(target_type="user", target_id=membership.user_id, allow=Permission.VIEW_CHANNEL),
        ]
    session.add(row)
    await session.commit()
    channel = schemas.Channel.model_validate(row)
    # There is no event for a new channel: the users who may view it join its room, then receive an update of it.
    await mew.permissions_update(membership.server.id, channel_id=row.id)
    await mew.channel_update(membership.server.id, channel)
    return channel


@router.get("/channels/{channel_id}")
async def get_channel(access: InChannel) -> schemas.Channel | schemas.DMChannel:
    kind = schemas.DMChannel if access.membership is None else schemas.Channel
    return kind.model_validate(access.channel)


@router.patch("/channels/{channel_id}")
async def change_channel(
    change: schemas.ChannelChange, access: InChannel, session: Session, mew: Mew
) -> schemas.Channel:
    server_id = access.in_server().server.id
    access.require(Permission.MANAGE_CHANNELS)
    await _check_category(session, server_id, change.category_id)
    change.apply(access.channel)
    await session.commit()
    channel = schemas.Channel.model_validate(access.channel)
    await mew.channel_update(server_id, channel)
    return channel


@router.delete("/channels/{channel_id}")
async def delete_channel(access: InChannel, session: Session, mew: Mew) -> schemas.ChannelGone:
    server_id = access.in_server().server.id
    access.require(Permission.MANAGE_CHANNELS)
    channel_id = access.channel.id
    await session.execute(delete(models.Channel).where(models.Channel.id == channel_id))
    await session.commit()
    await mew.channel_delete(server_id, channel_id)
    return schemas.ChannelGone(channel_id=channel_id, server_id=server_id)


async def _check_category(session: Session, server_id: str, category_id: str | None) -> None:
    if category_id is not None:
        category = await session.get(models.Category, category_id)
        if category is None or category.server_id != server_id:
            raise InvalidMessage("this server has no such category")
