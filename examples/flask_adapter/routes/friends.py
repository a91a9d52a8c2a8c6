"""Friends and blocked users."""

from __future__ import annotations

import msgspec
from flask import Blueprint, abort
from flask.typing import ResponseReturnValue
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from examples.flask_adapter.models import Block, FriendRequest, User
from examples.flask_adapter.realtime import notify
from examples.flask_adapter.requests import body, database, user_id

routes = Blueprint("friends", __name__)


class NewRequest(msgspec.Struct, rename="camel"):
    to_id: str


@routes.get("/friends")
def friends() -> ResponseReturnValue:
    me = user_id()
    with database().session() as session:
        return [
            {"id": friend.id, "name": friend.name, "avatar": friend.avatar}
            for friend in session.scalars(
                select(User)
                .join(
                    FriendRequest,
                    or_(
                        and_(FriendRequest.from_id == User.id, FriendRequest.to_id == me),
                        and_(FriendRequest.to_id == User.id, FriendRequest.from_id == me),
                    ),
                )
                .where(FriendRequest.accepted)
                .order_by(User.id)
            )
        ]


@routes.get("/friends/requests")
def requests() -> ResponseReturnValue:
    me = user_id()
    with database().session() as session:
        found = session.scalars(
            select(FriendRequest)
            .where(FriendRequest.to_id == me, FriendRequest.accepted.is_(False))
            .order_by(FriendRequest.created)
        )
        return [as_json(request) for request in found]


@routes.post("/friends/requests")
def ask() -> ResponseReturnValue:
    """Sends `friend_request` to the other user. A second request changes nothing."""
    me = user_id()
    to_id = body(NewRequest).to_id
    with database().session() as session:
        if to_id == me or session.get(User, to_id) is None:
            abort(404, "no such user")
        if session.get(Block, (to_id, me)) is not None:
            abort(403, "blocked")
        request = _between(session, me, to_id)
        if request is not None:
            return as_json(request)
        request = FriendRequest(from_id=me, to_id=to_id)
        session.add(request)
        name = session.get_one(User, me).name
        session.commit()
    notify(
        lambda chat: chat.friend_request(
            to_id, request_id=request.id, from_id=me, from_name=name, create_time=request.created
        )
    )
    return as_json(request), 201


@routes.post("/friends/requests/<request_id>/accept")
def accept(request_id: str) -> ResponseReturnValue:
    """Sends `friend_accepted` to the requester."""
    me = user_id()
    with database().session() as session:
        request = session.get(FriendRequest, request_id)
        if request is None or request.to_id != me:
            abort(404, "no such request")
        if request.accepted:
            return as_json(request)
        request.accepted = True
        name = session.get_one(User, me).name
        session.commit()
    notify(lambda chat: chat.friend_accepted(request.from_id, friend_id=me, friend_name=name))
    return as_json(request)


@routes.put("/blocks/<blocked_id>")
def block(blocked_id: str) -> ResponseReturnValue:
    """Refuse messages of the other user from now on. No event is sent."""
    me = user_id()
    with database().session.begin() as session:
        if session.get(User, blocked_id) is None:
            abort(404, "no such user")
        session.merge(Block(user_id=me, blocked_id=blocked_id))
    return "", 204


@routes.delete("/blocks/<blocked_id>")
def unblock(blocked_id: str) -> ResponseReturnValue:
    me = user_id()
    with database().session.begin() as session:
        found = session.get(Block, (me, blocked_id))
        if found is not None:
            session.delete(found)
    return "", 204


def _between(session: Session, one: str, other: str) -> FriendRequest | None:
    return session.scalar(
        select(FriendRequest).where(
            or_(
                and_(FriendRequest.from_id == one, FriendRequest.to_id == other),
                and_(FriendRequest.from_id == other, FriendRequest.to_id == one),
            )
        )
    )


def as_json(request: FriendRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "fromId": request.from_id,
        "toId": request.to_id,
        "accepted": request.accepted,
        "createTime": request.created,
    }
