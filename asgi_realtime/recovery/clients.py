"""Which Socket.IO clients get positions with their events. See docs/decisions/0036-who-gets-positions.md.

A position is one more argument of an event. The JavaScript client (4.6 and newer) keeps it and sends it back. Other
clients pass it to the application's handlers, which do not expect it. The handshake of the Engine.IO session tells them
apart: each client library writes the query in its own way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.json import Json

RECOVERY: Final = "recovery"
"""The key of `auth` or of the query with which a client says itself whether it wants recovery."""
_TIMESTAMP = re.compile(r"(?=.*[A-Za-z])[0-9A-Za-z_-]{5,9}(\.[0-9A-Za-z_-]{1,4})?", re.ASCII)
"""`t` of the JavaScript client: the time to the base 64, or (from 4.8 on) some of its digits to the base 36."""
_OTHER_AGENTS = ("dart", "python", "okhttp/3")
"""User agents that are not the JavaScript client's, in lower case. Java's client uses okhttp 3."""


def gets_positions(handshake: Handshake) -> bool:
    """Whether the client that opened a session gets positions.

    Args:
        handshake: of the session's first request, with the `auth` of the CONNECT packet.
    """
    wanted = _choice(handshake.auth, handshake.query)
    if wanted is not None:
        return wanted
    headers, query = handshake.headers, tuple(handshake.query)
    if headers.get("user-agent", "").lower().startswith(_OTHER_AGENTS):
        return False
    if "EIO" not in handshake.query or query[query.index("EIO") + 1 :][:1] != ("transport",):
        return False
    if handshake.query["transport"] == "polling":
        if query[-1] == "b64":  # 4.6 and 4.7 in Node, whose requests have no binary answers
            query = query[:-1]
        return query[-1] == "t" and _TIMESTAMP.fullmatch(handshake.query["t"]) is not None
    return "permessage-deflate" in headers.get("sec-websocket-extensions", "")


def _choice(auth: Json, query: Mapping[str, str]) -> bool | None:
    """What the client says itself. None: nothing."""
    chosen = auth.get(RECOVERY) if isinstance(auth, dict) else None
    if isinstance(chosen, bool):
        return chosen
    return {"true": True, "false": False}.get(query.get(RECOVERY, ""))
