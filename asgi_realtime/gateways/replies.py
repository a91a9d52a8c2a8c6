"""Payloads that gateways have in common: a new token, acknowledgements of success and failure, an error."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, UnsetType


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class SessionReference(msgspec.Struct, frozen=True):
    """What a client presents to recover: the `id` that it was told, and the position of the last event it has got."""

    id: str
    position: str


class Credentials(NewToken):
    """What a client presents in `auth`. `recovery` is for the first one only. `false` declines recovery."""

    recovery: NotRequired[SessionReference | Literal[False]]


class RecoveryOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client presents to recover after a loss, and whether it has just recovered.

    `position` is that of the last event it has got. Each later event has a newer one, as `offset`.
    """

    id: str
    position: str
    recovered: bool


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement: the event was handled."""

    success: Literal[True] = True


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement: the event was refused or failed. `message` is for people, `code` for programs."""

    success: Literal[False] = False
    code: str
    message: str


class ConnectErrorData(msgspec.Struct, frozen=True):
    """The code of a refusal, for programs. A host that closed the connection may have chosen a close code."""

    code: str | int


class ConnectError(msgspec.Struct, frozen=True):
    """Why a Socket.IO client was refused. `message` is for people."""

    message: str
    data: ConnectErrorData | UnsetType = UNSET


class ErrorMessage(msgspec.Struct, frozen=True):
    """Why an event of the client was refused or failed. `message` is for people, `code` for programs."""

    code: str
    message: str


class EventAck(msgspec.Struct, frozen=True):
    """The event with this id was handled, now or before. `result` is what the handler returned, if anything."""

    id: str
    result: Any | UnsetType = UNSET
