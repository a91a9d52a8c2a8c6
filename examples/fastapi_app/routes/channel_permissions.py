"""Overrides: what a channel changes for a role or for one user."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from sqlalchemy import delete

from examples.fastapi_app import access as access_to
from examples.fastapi_app import models, schemas
from examples.fastapi_app.access import ChannelAccess
from examples.fastapi_app.dependencies import InChannel, Mew, Session
from examples.fastapi_app.permissions import NOTHING, Permission
from examples.fastapi_app.routes.roles import find_role

router = APIRouter(prefix="/channels/{channel_id}/permissions", tags=["channel permissions"])

Kind = Literal["roles", "users"]


@router.get("", response_model=list[schemas.Override])
async def list_overrides(access: InChannel) -> list[models.ChannelOverride]:
    access.in_server()
    access.require(Permission.MANAGE_ROLES)
    return access.channel.overrides


@router.put("/{kind}/{target_id}")
async def set_override(
    kind: Kind, target_id: str, new: schemas.NewOverride, access: InChannel, session: Session, mew: Mew
) -> schemas.Override:
    server_id = access.in_server().server.id
    row = await _changeable(kind, target_id, new, access, session)
    if kind == "roles":
        await find_role(session, server_id, target_id)
    else:
        access.in_server().require_above(await access_to.other_member(session, server_id, target_id))
    row.allow, row.deny = new.allow, new.deny & ~new.allow
    await session.merge(row)
    await session.commit()
    await _tell(kind, target_id, access, mew)
    return schemas.Override.model_validate(row)


@router.delete("/{kind}/{target_id}")
async def delete_override(
    kind: Kind, target_id: str, access: InChannel, session: Session, mew: Mew
) -> schemas.OverrideGone:
    row = await _changeable(kind, target_id, schemas.NewOverride(), access, session)
    await session.execute(
        delete(models.ChannelOverride).where(
            models.ChannelOverride.channel_id == row.channel_id,
            models.ChannelOverride.target_type == row.target_type,
            models.ChannelOverride.target_id == target_id,
        )
    )
    await session.commit()
    await _tell(kind, target_id, access, mew)
    return schemas.OverrideGone(channel_id=row.channel_id, target_id=target_id)


async def _changeable(
    kind: Kind, target_id: str, new: schemas.NewOverride, access: ChannelAccess, session: Session
) -> models.ChannelOverride:
    """The current override, or an empty one. Raises `Forbidden` if this user may not change it to `new`."""
    access.in_server()
    access.require(Permission.MANAGE_ROLES)
    key = {"channel_id": access.channel.id, "target_type": kind.removesuffix("s"), "target_id": target_id}
    row = await session.get(models.ChannelOverride, tuple(key.values()))
    if row is None:
        row = models.ChannelOverride(**key, allow=NOTHING, deny=NOTHING)
    # A user may only allow or deny permissions that the user has.
    access.require((row.allow ^ new.allow) | (row.deny ^ new.deny))
    return row


async def _tell(kind: Kind, target_id: str, access: ChannelAccess, mew: Mew) -> None:
    await mew.permissions_update(
        access.in_server().server.id,
        channel_id=access.channel.id,
        user_id=target_id if kind == "users" else None,
    )
