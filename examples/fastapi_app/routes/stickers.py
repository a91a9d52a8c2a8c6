"""Stickers: pictures that a server's members can send."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import delete, select

from examples.fastapi_app import access, models, schemas
from examples.fastapi_app.dependencies import CurrentUser, InServer, Mew, Session
from examples.fastapi_app.errors import NotFound
from examples.fastapi_app.permissions import Permission

router = APIRouter(tags=["stickers"])


@router.get("/servers/{server_id}/stickers", response_model=list[schemas.Sticker])
async def list_stickers(membership: InServer, session: Session) -> Sequence[models.Sticker]:
    mine = select(models.Sticker).where(models.Sticker.server_id == membership.server.id)
    return (await session.scalars(mine.order_by(models.Sticker.id))).all()


@router.post("/servers/{server_id}/stickers", status_code=201)
async def create_sticker(new: schemas.NewSticker, membership: InServer, session: Session, mew: Mew) -> schemas.Sticker:
    membership.require(Permission.MANAGE_STICKERS)
    row = models.Sticker(server_id=membership.server.id, creator_id=membership.user_id, **new.model_dump())
    session.add(row)
    await session.commit()
    sticker = schemas.Sticker.model_validate(row)
    await mew.sticker_create(row.server_id, sticker)
    return sticker


@router.patch("/stickers/{sticker_id}")
async def change_sticker(
    sticker_id: str, change: schemas.StickerChange, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Sticker:
    row = await _manageable(sticker_id, user, session)
    change.apply(row)
    await session.commit()
    sticker = schemas.Sticker.model_validate(row)
    await mew.sticker_update(row.server_id, sticker)
    return sticker


@router.delete("/stickers/{sticker_id}")
async def delete_sticker(sticker_id: str, user: CurrentUser, session: Session, mew: Mew) -> schemas.StickerGone:
    row = await _manageable(sticker_id, user, session)
    await session.execute(delete(models.Sticker).where(models.Sticker.id == row.id))
    await session.commit()
    await mew.sticker_delete(row.server_id, row.id)
    return schemas.StickerGone(sticker_id=row.id, server_id=row.server_id)


async def _manageable(sticker_id: str, user: models.User, session: Session) -> models.Sticker:
    row = await session.get(models.Sticker, sticker_id)
    if row is None:
        raise NotFound("no such sticker")
    membership = await access.membership_of(session, row.server_id, user.id)
    membership.require(Permission.MANAGE_STICKERS)
    return row
