"""The dependencies of routes: the session, the user, the broadcaster, and access to a server or channel."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from asgi_realtime import (
    EventsBroadcaster,
    Forbidden,
    Handshake,
    JWTAuthenticator,
    MewBroadcaster,
    OriginPolicy,
    get_events_broadcaster,
    get_mew_broadcaster,
)
from examples.fastapi_app import access, models
from examples.fastapi_app.access import ChannelAccess, Membership
from examples.fastapi_app.database import get_session
from examples.fastapi_app.service import ensure_user

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

Session = Annotated[AsyncSession, Depends(get_session)]
Mew = Annotated[MewBroadcaster, Depends(get_mew_broadcaster)]
Events = Annotated[EventsBroadcaster, Depends(get_events_broadcaster)]


async def current_user(request: Request, session: Session) -> models.User:
    """The user of the token, by the same rules as on the sockets. A new user gets an account."""
    authenticator: JWTAuthenticator = request.app.state.authenticator
    origins: OriginPolicy = request.app.state.origins
    origin, host, scheme = request.headers.get("origin"), request.headers.get("host"), request.url.scheme
    if request.method not in SAFE_METHODS and not origins.allows(origin, host=host, scheme=scheme):
        raise Forbidden("this page may not write here")
    presented = Handshake(headers=dict(request.headers), cookies=request.cookies)
    if not origins.trusts(origin, host=host, scheme=scheme):
        # A browser sends the cookie with requests of any page.
        presented = presented.without_browser_credentials()
    identity = await authenticator(presented)
    return await ensure_user(session, identity.user_id)


CurrentUser = Annotated[models.User, Depends(current_user)]


async def in_server(server_id: str, user: CurrentUser, session: Session) -> Membership:
    """The user's membership of the server in the path."""
    return await access.membership_of(session, server_id, user.id)


async def in_channel(channel_id: str, user: CurrentUser, session: Session) -> ChannelAccess:
    """The user's access to the channel in the path."""
    return await access.channel_access(session, channel_id, user.id)


InServer = Annotated[Membership, Depends(in_server)]
InChannel = Annotated[ChannelAccess, Depends(in_channel)]
