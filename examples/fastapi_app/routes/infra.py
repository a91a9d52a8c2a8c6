"""The configuration of bots. Their services receive changes on the gateway `/infra`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path

from examples.fastapi_app import fields, models, schemas
from examples.fastapi_app.dependencies import CurrentUser, Mew, Session
from examples.fastapi_app.errors import NotFound

router = APIRouter(prefix="/infra/bots/{service_type}/{bot_id}/config", tags=["infra"])

Name = Annotated[fields.Name, Path()]


@router.post("", response_model=schemas.BotConfig)
async def set_config(
    service_type: Name,
    bot_id: Name,
    user: CurrentUser,
    session: Session,
    mew: Mew,
    config: Annotated[fields.JsonObject | None, Body()] = None,
) -> models.BotConfig:
    row = models.BotConfig(
        service_type=service_type, bot_id=bot_id, config=config or {}, updated_by=user.id, updated_at=models.now()
    )
    row = await session.merge(row)
    await session.commit()
    await mew.system_bot_config_update(service_type, bot_id)
    return row


@router.get("", response_model=schemas.BotConfig)
async def get_config(service_type: Name, bot_id: Name, user: CurrentUser, session: Session) -> models.BotConfig:
    row = await session.get(models.BotConfig, (service_type, bot_id))
    if row is None:
        raise NotFound("no such bot")
    return row
