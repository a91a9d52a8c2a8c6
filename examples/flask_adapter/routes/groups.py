"""Groups and their members."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, abort
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from examples.flask_adapter.models import Group, Invitation, Member, User
from examples.flask_adapter.realtime import notify
from examples.flask_adapter.requests import body, database, user_id

routes = Blueprint("groups", __name__, url_prefix="/groups")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class NewGroup(msgspec.Struct):
    name: Text


class UserReference(msgspec.Struct, rename="camel"):
    user_id: str


class Mute(msgspec.Struct):
    muted: bool


class Announcement(msgspec.Struct):
    announcement: Text


@routes.get("")
def groups() -> ResponseReturnValue:
    me = user_id()
    with database().session() as session:
        found = session.scalars(select(Group).join(Member, Member.group_id == Group.id).where(Member.user_id == me))
        return [as_json(session, group) for group in found.all()]


@routes.post("")
def create() -> ResponseReturnValue:
    """Create a group. The creator is its owner and a member."""
    me = user_id()
    with database().session() as session:
        group = Group(name=body(NewGroup).name, owner_id=me)
        session.add(group)
        session.flush()
        session.add(Member(group_id=group.id, user_id=me))
        session.commit()
        answer = as_json(session, group)
    notify(lambda chat: chat.group_member_join(group.id, me))
    return answer, 201


@routes.delete("/<group_id>")
def dissolve(group_id: str) -> ResponseReturnValue:
    """Sends `group_dissolved` to the group, which is then emptied."""
    with database().session() as session:
        session.delete(_owned(session, group_id, user_id()))
        session.commit()
    notify(lambda chat: chat.group_dissolved(group_id))
    return "", 204


@routes.put("/<group_id>/owner")
def transfer(group_id: str) -> ResponseReturnValue:
    """Sends `group_transfer` to the group."""
    with database().session() as session:
        group = _owned(session, group_id, user_id())
        group.owner_id = _member(session, group_id, body(UserReference).user_id).user_id
        session.commit()
        answer = as_json(session, group)
    notify(lambda chat: chat.group_transfer(group_id, group.owner_id))
    return answer


@routes.put("/<group_id>/announcement")
def announce(group_id: str) -> ResponseReturnValue:
    """Sends `group_announcement` to the group."""
    with database().session() as session:
        group = _owned(session, group_id, user_id())
        group.announcement = body(Announcement).announcement
        session.commit()
        answer = as_json(session, group)
    notify(lambda chat: chat.group_announcement(group_id, group.announcement))
    return answer


@routes.post("/<group_id>/invitations")
def invite(group_id: str) -> ResponseReturnValue:
    """Sends `group_invite` to the invited user. Any member may invite."""
    me = user_id()
    invitee = body(UserReference).user_id
    with database().session() as session:
        _member(session, group_id, me)
        if session.get(User, invitee) is None:
            abort(404, "no such user")
        if session.get(Member, (group_id, invitee)) is not None:
            abort(409, "is a member already")
        session.merge(Invitation(group_id=group_id, user_id=invitee))
        name, inviter = session.get_one(Group, group_id).name, session.get_one(User, me).name
        session.commit()
    notify(lambda chat: chat.group_invite(invitee, group_id=group_id, group_name=name, inviter_name=inviter))
    return "", 204


@routes.post("/<group_id>/members")
def join(group_id: str) -> ResponseReturnValue:
    """Accept an invitation. From now on the user receives the group's events."""
    me = user_id()
    with database().session() as session:
        invitation = session.get(Invitation, (group_id, me))
        if invitation is None:
            abort(403, "not invited")
        session.delete(invitation)
        session.add(Member(group_id=group_id, user_id=me))
        session.commit()
        answer = as_json(session, session.get_one(Group, group_id))
    notify(lambda chat: chat.group_member_join(group_id, me))
    return answer, 201


@routes.delete("/<group_id>/members/<member_id>")
def leave(group_id: str, member_id: str) -> ResponseReturnValue:
    """Sends `group_member_quit` to the group. If the owner removes a member, that user gets `group_member_kick`."""
    me = user_id()
    with database().session() as session:
        member = _member(session, group_id, member_id)
        if member_id != me:
            _owned(session, group_id, me)
        elif session.get_one(Group, group_id).owner_id == me:
            abort(409, "the owner transfers the group first, or dissolves it")
        session.delete(member)
        session.commit()
    if member_id == me:
        notify(lambda chat: chat.group_member_quit(group_id, me))
    else:
        notify(lambda chat: chat.group_member_kick(group_id, member_id))
    return "", 204


@routes.put("/<group_id>/members/<member_id>/mute")
def mute(group_id: str, member_id: str) -> ResponseReturnValue:
    """Sends `group_member_mute` to the group."""
    muted = body(Mute).muted
    with database().session() as session:
        _owned(session, group_id, user_id())
        _member(session, group_id, member_id).muted = muted
        session.commit()
    notify(lambda chat: chat.group_member_mute(group_id, member_id, muted=muted))
    return "", 204


def _member(session: Session, group_id: str, member_id: str) -> Member:
    return session.get(Member, (group_id, member_id)) or abort(404, "no such member")


def _owned(session: Session, group_id: str, owner_id: str) -> Group:
    """The group, if the user owns it. 404 for users who are not members."""
    _member(session, group_id, owner_id)
    group = session.get_one(Group, group_id)
    return group if group.owner_id == owner_id else abort(403, "only the owner may")


def as_json(session: Session, group: Group) -> dict[str, object]:
    members = session.scalars(select(Member).where(Member.group_id == group.id).order_by(Member.user_id))
    return {
        "id": group.id,
        "name": group.name,
        "ownerId": group.owner_id,
        "announcement": group.announcement,
        "members": [{"userId": member.user_id, "muted": member.muted} for member in members],
    }
