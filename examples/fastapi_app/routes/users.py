"""Users, and the direct messages between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from asgi_realtime import InvalidMessage
from examples.fastapi_app import models, schemas
from examples.fastapi_app.database import insert_if_absent
from examples.fastapi_app.dependencies import CurrentUser, Mew, Session
from examples.fastapi_app.errors import NotFound

router = APIRouter(tags=["users"])


@router.get("/users/me", response_model=schemas.User)
async def get_me(user: CurrentUser) -> models.User:
    return user


@router.patch("/users/me", response_model=schemas.User)
async def change_me(change: schemas.UserChange, user: CurrentUser, session: Session) -> models.User:
    change.apply(user)
    await session.commit()
    return user


@router.get("/users", response_model=list[schemas.User])
async def list_users(
    user: CurrentUser,
    session: Session,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Sequence[models.User]:
    matching = select(models.User).where(
        models.User.username.icontains(search, autoescape=True)
        | models.User.display_name.icontains(search, autoescape=True)
    )
    return (await session.scalars(matching.order_by(models.User.username).limit(limit))).all()


@router.get("/users/{user_id}", response_model=schemas.User)
async def get_user(user_id: str, user: CurrentUser, session: Session) -> models.User:
    return await find_user(session, user_id)


@router.get("/dms", response_model=list[schemas.DMChannel])
async def list_dms(user: CurrentUser, session: Session) -> Sequence[models.Channel]:
    mine = select(models.DMRecipient.channel_id).where(models.DMRecipient.user_id == user.id)
    return (
        await session.scalars(select(models.Channel).where(models.Channel.id.in_(mine)).order_by(models.Channel.id))
    ).all()


@router.post("/users/{user_id}/dm", status_code=201)
async def open_dm(user_id: str, user: CurrentUser, session: Session, mew: Mew, response: Response) -> schemas.DMChannel:
    other = await find_user(session, user_id)
    if other.id == user.id:
        raise InvalidMessage("a direct message needs another user")
    pair = sorted((user.id, other.id))
    key = "\n".join(pair)
    is_new = await insert_if_absent(session, models.Channel, id=models.new_id(), dm_key=key)
    row = (await session.scalars(select(models.Channel).where(models.Channel.dm_key == key))).one()
    if is_new:
        session.add_all(models.DMRecipient(channel_id=row.id, user_id=recipient) for recipient in pair)
        await session.flush()
        await session.refresh(row)
    await session.commit()
    channel = schemas.DMChannel.model_validate(row)
    if is_new:
        await mew.dm_channel_create(row.id, channel, recipients=pair)
    else:
        response.status_code = 200
    return channel


async def find_user(session: Session, user_id: str) -> models.User:
    """The user in the path.

    Raises:
        NotFound: there is no such user.
    """
    user = await session.get(models.User, user_id)
    if user is None:
        raise NotFound("no such user")
    return user
