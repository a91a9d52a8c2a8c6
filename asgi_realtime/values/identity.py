"""Who a connection belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from asgi_realtime.values.ids import Id, UserId, put_texts
from asgi_realtime.values.json import Json


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a connection belongs to: what an authenticator returns.

    `claims` are the verified claims of the token; `expires_at` is in seconds since the epoch, or
    None for a credential that does not expire.
    """

    user_id: UserId
    """As text: a number or a UUID that was given is turned into it."""
    claims: Mapping[str, Json] = {}
    expires_at: float | None = None

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(
            self, *, user_id: Id, claims: Mapping[str, Json] = {}, expires_at: float | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        put_texts(self, "user_id")
