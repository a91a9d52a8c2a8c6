"""How clients of JSON gateways ask for recovery. See docs/decisions/0038-recovery-of-json-clients.md.

A client presents the value of `recovery` that it got, in its `auth` frame, or as JSON in the query if the handshake has
the token. It may also be `false`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from asgi_realtime.recovery.clients import RECOVERY
from asgi_realtime.recovery.session import SessionClaim
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json

_QUERY_BYTES: Final = 1_000
"""Longest value of `recovery` in a query, in characters. The server's own are much shorter."""


def presented(handshake: Handshake) -> Json:
    """The value of `recovery` that a client presents. None: it presents none that can be read."""
    if isinstance(handshake.auth, dict) and RECOVERY in handshake.auth:
        return handshake.auth[RECOVERY]
    text = handshake.query.get(RECOVERY)
    if text is None or len(text) > _QUERY_BYTES:
        return None
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value


def claim_in(value: Json) -> SessionClaim | None:
    """The session that a client asks for. None: it asks for none."""
    return SessionClaim(value.get("id"), value.get("position")) if isinstance(value, dict) else None
