"""Categories: headings for the channels of a server."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import delete, select

from examples.fastapi_app import access, models, schemas
from examples.fastapi_app.dependencies import CurrentUser, InServer, Mew, Session
from examples.fastapi_app.errors import NotFound
from examples.fastapi_app.permissions import Permission

router = APIRouter(tags=["categories"])


@router.get("/servers/{server_id}/categories", response_model=list[schemas.Category])
async def list_categories(membership: InServer, session: Session) -> Sequence[models.Category]:
    return (
        await session.scalars(
            select(models.Category)
            .where(models.Category.server_id == membership.server.id)
            .order_by(models.Category.position, models.Category.id)
        )
    ).all()


@router.post("/servers/{server_id}/categories", status_code=201)
async def create_category(
    new: schemas.NewCategory, membership: InServer, session: Session, mew: Mew
) -> schemas.Category:
    membership.require(Permission.MANAGE_CHANNELS)
    row = models.Category(server_id=membership.server.id, **new.model_dump())
    session.add(row)
    return await _save_and_tell(row, session, mew)


@router.patch("/categories/{category_id}")
async def change_category(
    category_id: str, change: schemas.CategoryChange, user: CurrentUser, session: Session, mew: Mew
) -> schemas.Category:
    row = await _manageable(category_id, user, session)
    change.apply(row)
    return await _save_and_tell(row, session, mew)


@router.delete("/categories/{category_id}")
async def delete_category(category_id: str, user: CurrentUser, session: Session, mew: Mew) -> schemas.CategoryGone:
    row = await _manageable(category_id, user, session)
    await session.execute(delete(models.Category).where(models.Category.id == row.id))
    await session.commit()
    await mew.category_delete(row.server_id, row.id)
    return schemas.CategoryGone(category_id=row.id, server_id=row.server_id)


async def _manageable(category_id: str, user: models.User, session: Session) -> models.Category:
    row = await session.get(models.Category, category_id)
    if row is None:
        raise NotFound("no such category")
    membership = await access.membership_of(session, row.server_id, user.id)
    membership.require(Permission.MANAGE_CHANNELS)
    return row


async def _save_and_tell(row: models.Category, session: Session, mew: Mew) -> schemas.Category:
    await session.commit()
    category = schemas.Category.model_validate(row)
    await mew.category_update(row.server_id, category)
    return category
