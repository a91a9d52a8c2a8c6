"""The payloads that gateways of every system have in common: a new token, and the server's yes and no."""

from __future__ import annotations

from typing import Literal, TypedDict

import msgspec


class NewToken(TypedDict):
    """What a client sends to replace its token."""

    token: str


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """What an acknowledgement says when there is nothing else to say."""

    success: Literal[True] = True


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """What an acknowledgement says when the server refuses."""

    success: Literal[False] = False
    code: str
    message: str


class Complaint(msgspec.Struct, frozen=True):
    """Why something a client sent was refused. The message is for people, the code for programs."""

    code: str
    message: str
