# fmt: off
# ruff: noqa
"""Typed client of `InfraGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from asgi_realtime.client import Event, SocketIOClient


class BotConfigUpdate(TypedDict):
    """A bot of a service whose configuration changed."""

    serviceType: str
    botId: str


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed.

    `message` is for people, `code` for programs.
    """

    code: str
    message: str


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class Success(TypedDict):
    """An acknowledgement: the event was handled."""

    success: Literal[True]


class Failure(TypedDict):
    """An acknowledgement: the event was refused or failed.

    `message` is for people, `code` for programs.
    """

    success: Literal[False]
    code: str
    message: str


class SystemBotConfigUpdateEvent(Event[BotConfigUpdate]):
    """To the services of that type."""

    name = "SYSTEM_BOT_CONFIG_UPDATE"


class ErrorEvent(Event[ErrorMessage]):
    """To the client whose event was refused, unless an acknowledgement says it."""

    name = "error"


ServerEvent: TypeAlias = SystemBotConfigUpdateEvent | ErrorEvent


class InfraClient(SocketIOClient[ServerEvent]):
    """A client of `InfraGateway`.

    Services connect with the admin secret and a `serviceType`, which is the room they join.
    """

    namespace = "/infra"
    token_name = "adminSecret"
    events = (
        SystemBotConfigUpdateEvent,
        ErrorEvent,
    )

    async def auth_refresh(self, payload: NewToken, *, timeout: float = 10.0) -> Success:
        """Replace the token of a live connection. The new token must be of the same user."""
        answer: Success = await self._call("auth/refresh", payload, timeout=timeout)
        return answer
