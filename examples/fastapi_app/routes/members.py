"""Members: joining, leaving, being kicked, having roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload, selectinload

from examples.fastapi_app import access, models, schemas
from examples.fastapi_app.access import Membership
from examples.fastapi_app.database import insert_if_absent
from examples.fastapi_app.dependencies import CurrentUser, Events, InServer, Mew, Session
from examples.fastapi_app.errors import Conflict, NotFound
from examples.fastapi_app.permissions import Permission
from examples.fastapi_app.routes.roles import find_role
from examples.fastapi_app.routes.users import find_user

router = APIRouter(prefix="/servers/{server_id}/members", tags=["members"])


@router.get("", response_model=list[schemas.Member])
async def list_members(
    membership: InServer, session: Session, limit: Annotated[int, Query(ge=1, le=1000)] = 1000
) -> Sequence[models.Member]:
    return (
        await session.scalars(
            select(models.Member)
            .where(models.Member.server_id == membership.server.id)
            .options(joinedload(models.Member.user), selectinload(models.Member.member_roles))
            .order_by(models.Member.joined_at, models.Member.user_id)
            .limit(limit)
        )
    ).all()


@router.post("", status_code=201)
async def join_or_invite(
    server_id: str,
    user: CurrentUser,
    session: Session,
    mew: Mew,
    response: Response,
    new: schemas.NewMember | None = None,
) -> schemas.Member:
    """Join, or add the user of `userId`."""
    user_id = new.user_id if new is not None and new.user_id is not None else user.id
    if user_id != user.id:
        inviter = await access.membership_of(session, server_id, user.id)
        inviter.require(Permission.INVITE_MEMBERS)
        await find_user(session, user_id)
    elif await session.get(models.Server, server_id) is None:
        raise NotFound("no such server")
    is_new = await insert_if_absent(session, models.Member, server_id=server_id, user_id=user_id)
    await session.commit()
    if is_new:
        await mew.member_join(server_id, user_id)
    else:
        response.status_code = 200
    return await _member_as_stored(session, server_id, user_id)


@router.delete("/{user_id}")
async def leave_or_kick(
    user_id: str, membership: InServer, session: Session, mew: Mew, events: Events
) -> schemas.MemberGone:
    """Leave, or kick another user."""
    server_id = membership.server.id
    leaving = user_id == membership.user_id
    if leaving and membership.is_owner:
        raise Conflict("the owner cannot leave; delete the server instead")
    if not leaving:
        membership.require(Permission.KICK_MEMBERS)
        membership.require_above(await access.other_member(session, server_id, user_id))
    await session.execute(
        delete(models.Member).where(models.Member.server_id == server_id, models.Member.user_id == user_id)
    )
    channels = select(models.Channel.id).where(models.Channel.server_id == server_id)
    await session.execute(
        # A user who joins again must not have the overrides of before.
        delete(models.ChannelOverride).where(
            models.ChannelOverride.target_type == "user",
            models.ChannelOverride.target_id == user_id,
            models.ChannelOverride.channel_id.in_(channels),
        )
    )
    await session.commit()
    if leaving:
        await mew.member_leave(server_id, user_id)
    else:
        await mew.server_kick(server_id, user_id)
    await events.user_left(user_id, server_id)
    return schemas.MemberGone(server_id=server_id, user_id=user_id)


@router.put("/{user_id}/roles/{role_id}")
async def give_role(user_id: str, role_id: str, membership: InServer, session: Session, mew: Mew) -> schemas.Member:
    member = await _member_for_role(session, membership, user_id, role_id)
    values = {"server_id": member.server.id, "user_id": user_id, "role_id": role_id}
    if await insert_if_absent(session, models.MemberRole, **values):
        await session.commit()
        await mew.permissions_update(member.server.id, user_id=user_id)
    return await _member_as_stored(session, member.server.id, user_id)


@router.delete("/{user_id}/roles/{role_id}")
async def take_role(user_id: str, role_id: str, membership: InServer, session: Session, mew: Mew) -> schemas.Member:
    member = await _member_for_role(session, membership, user_id, role_id)
    if role_id in member.member.role_ids:
        await session.execute(
            delete(models.MemberRole).where(models.MemberRole.role_id == role_id, models.MemberRole.user_id == user_id)
        )
        await session.commit()
        await mew.permissions_update(member.server.id, user_id=user_id)
    return await _member_as_stored(session, member.server.id, user_id)


async def _member_for_role(session: Session, membership: Membership, user_id: str, role_id: str) -> Membership:
    """The member whose role `membership` may change."""
    role = await find_role(session, membership.server.id, role_id)
    membership.require(Permission.MANAGE_ROLES | role.permissions)
    if role.is_default:
        raise Conflict("all members have the default role")
    return await access.other_member(session, membership.server.id, user_id)


async def _member_as_stored(session: Session, server_id: str, user_id: str) -> schemas.Member:
    return schemas.Member.model_validate((await access.other_member(session, server_id, user_id)).member)
