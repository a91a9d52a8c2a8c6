"""Roles: named sets of permissions. A user may only give or take permissions that the user has."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy import delete, select

from examples.fastapi_app import models, schemas
from examples.fastapi_app.dependencies import InServer, Mew, Session
from examples.fastapi_app.errors import Conflict, NotFound
from examples.fastapi_app.permissions import Permission

router = APIRouter(prefix="/servers/{server_id}/roles", tags=["roles"])


@router.get("", response_model=list[schemas.Role])
async def list_roles(membership: InServer) -> Sequence[models.Role]:
    return membership.server.roles


@router.post("", status_code=201)
async def create_role(new: schemas.NewRole, membership: InServer, session: Session, mew: Mew) -> schemas.Role:
    membership.require(Permission.MANAGE_ROLES | new.permissions)
    row = models.Role(server_id=membership.server.id, name=new.name, permissions=new.permissions)
    session.add(row)
    await session.commit()
    await mew.permissions_update(row.server_id)
    return schemas.Role.model_validate(row)


@router.patch("/{role_id}")
async def change_role(
    role_id: str, change: schemas.RoleChange, membership: InServer, session: Session, mew: Mew
) -> schemas.Role:
    row = await find_role(session, membership.server.id, role_id)
    membership.require(Permission.MANAGE_ROLES | row.permissions | change.permissions)
    change.apply(row)
    await session.commit()
    await mew.permissions_update(row.server_id)
    return schemas.Role.model_validate(row)


@router.delete("/{role_id}")
async def delete_role(role_id: str, membership: InServer, session: Session, mew: Mew) -> schemas.RoleGone:
    row = await find_role(session, membership.server.id, role_id)
    membership.require(Permission.MANAGE_ROLES | row.permissions)
    if row.is_default:
        raise Conflict("the default role stays")
    await session.execute(
        delete(models.ChannelOverride).where(
            models.ChannelOverride.target_type == "role", models.ChannelOverride.target_id == role_id
        )
    )
    await session.execute(delete(models.Role).where(models.Role.id == role_id))
    await session.commit()
    await mew.permissions_update(membership.server.id)
    return schemas.RoleGone(server_id=membership.server.id, role_id=role_id)


async def find_role(session: Session, server_id: str, role_id: str) -> models.Role:
    """A role of this server.

    Raises:
        NotFound: the server has no such role.
    """
    role = await session.scalar(
        select(models.Role).where(models.Role.id == role_id, models.Role.server_id == server_id)
    )
    if role is None:
        raise NotFound("no such role")
    return role
