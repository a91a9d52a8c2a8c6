"""Login as any user, for development. The router is only mounted if `MEW_DEV=true`."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from sqlalchemy import select

from asgi_realtime import Settings, create_token
from examples.fastapi_app import models, schemas
from examples.fastapi_app.dependencies import Session
from examples.fastapi_app.errors import Conflict
from examples.fastapi_app.service import ensure_user

router = APIRouter(prefix="/dev", tags=["development"])

TOKEN_SECONDS = 24 * 3600


@router.post("/token")
async def create_login(login: schemas.Login, request: Request, session: Session) -> schemas.Token:
    settings: Settings = request.app.state.settings
    if settings.jwt_secret is None:
        raise Conflict("tokens come from your identity provider: set MEW_JWT_SECRET instead to make them here")
    user = await ensure_user(session, login.user_id)
    return schemas.Token(token=create_token(user.id, settings, expires_in=TOKEN_SECONDS))


@router.get("/users", response_model=list[schemas.User])
async def list_users(session: Session) -> Sequence[models.User]:
    return (await session.scalars(select(models.User).order_by(models.User.created_at).limit(200))).all()
