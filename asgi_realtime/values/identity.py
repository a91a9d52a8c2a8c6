"""The identity of a user: what an authenticator returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from asgi_realtime.values.field_types import is_number
from asgi_realtime.values.ids import Id, UserId, put_texts
from asgi_realtime.values.json import Json


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The user that a connection belongs to. Authenticators return it.

    `claims` are the verified claims of the token. `expires_at` is in seconds since the epoch. None: the credential
    does not expire.
    """

    user_id: UserId
    """Always text. A number or a UUID is converted."""
    claims: Mapping[str, Json] = {}
    expires_at: float | None = None

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(
            self, *, user_id: Id, claims: Mapping[str, Json] = {}, expires_at: float | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        put_texts(self, "user_id")
        claims, expires_at = self.claims, self.expires_at
        if type(claims) is not dict and not isinstance(claims, Mapping):
            raise TypeError(f"claims must be a mapping, not {type(claims).__qualname__}")
        if expires_at is not None and not _is_time(expires_at):
            remedy = "; write expires_at.timestamp()" if hasattr(expires_at, "timestamp") else ""
            raise TypeError(
                f"expires_at must be a number of seconds since the epoch, or None, not {_shown(expires_at)}{remedy}"
            )


def _is_time(value: object) -> bool:
    """Whether a value is a usable time: a number, but not NaN, and not an int that is too large for a float."""
    try:
        return is_number(value) and not math.isnan(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    return str(value)[:20] if isinstance(value, int | float) else type(value).__qualname__
