"""Servers: they contain members, channels, roles and stickers."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import delete, select

from asgi_realtime import Forbidden
from examples.fastapi_app import models, schemas
from examples.fastapi_app.dependencies import CurrentUser, Events, InServer, Mew, Session
from examples.fastapi_app.permissions import DEFAULT_ROLE, NOTHING, Permission

router = APIRouter(prefix="/servers", tags=["servers"])

JOINED = select(models.Member.server_id)


@router.get("", response_model=list[schemas.Server])
async def list_servers(user: CurrentUser, session: Session) -> Sequence[models.Server]:
    mine = JOINED.where(models.Member.user_id == user.id)
    return (
        await session.scalars(select(models.Server).where(models.Server.id.in_(mine)).order_by(models.Server.id))
    ).all()


@router.get("/discover", response_model=list[schemas.Server])
async def list_servers_to_join(user: CurrentUser, session: Session) -> Sequence[models.Server]:
    mine = JOINED.where(models.Member.user_id == user.id)
    others = select(models.Server).where(models.Server.id.not_in(mine)).order_by(models.Server.id.desc()).limit(100)
    return (await session.scalars(others)).all()


@router.post("", status_code=201)
async def create_server(new: schemas.NewServer, user: CurrentUser, session: Session, mew: Mew) -> schemas.Server:
    row = models.Server(id=models.new_id(), owner_id=user.id, **new.model_dump())
    session.add(row)
    await session.flush()
    session.add(models.Role(id=row.id, server_id=row.id, name="everyone", permissions=DEFAULT_ROLE))
    session.add(models.Member(server_id=row.id, user_id=user.id))
    await session.commit()
    await mew.member_join(row.id, user.id)
    return schemas.Server.model_validate(row)


@router.get("/{server_id}", response_model=schemas.Server)
async def get_server(membership: InServer) -> models.Server:
    return membership.server


@router.get("/{server_id}/permissions")
async def get_own_permissions(membership: InServer, session: Session) -> schemas.OwnPermissions:
    channels = await session.scalars(select(models.Channel).where(models.Channel.server_id == membership.server.id))
    permitted = {channel.id: membership.in_channel(channel) for channel in channels}
    return schemas.OwnPermissions(
        server_id=membership.server.id,
        permissions=membership.permissions,
        channels={id: permissions for id, permissions in permitted.items() if permissions != NOTHING},
    )


@router.patch("/{server_id}")
async def change_server(
    change: schemas.ServerChange, membership: InServer, session: Session, mew: Mew
) -> schemas.Server:
    membership.require(Permission.MANAGE_SERVER)
    change.apply(membership.server)
    await session.commit()
    server = schemas.Server.model_validate(membership.server)
    await mew.server_update(server.id, server)
    return server


@router.delete("/{server_id}")
async def delete_server(membership: InServer, session: Session, mew: Mew, events: Events) -> schemas.ServerGone:
    if not membership.is_owner:
        raise Forbidden("only the owner can delete a server")
    server_id = membership.server.id
    await session.execute(delete(models.Server).where(models.Server.id == server_id))
    await session.commit()
    await mew.server_delete(server_id)
    await events.close_room(server_id)
    return schemas.ServerGone(server_id=server_id)
