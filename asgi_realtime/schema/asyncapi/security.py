"""Security schemes of a gateway: where a client puts its token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgi_realtime.auth.token_sources import TokenPlace


def security_scheme(place: TokenPlace, *, frames: bool) -> tuple[str, dict[str, Any]]:
    """The name and the scheme of a place. `frames`: of a gateway with JSON frames."""
    name = place.name
    match place.place:
        case "bearer":
            return "bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        case "auth" if frames:
            how = f"`{name}` in the `data` of the first frame, whose `type` is `auth`."
            return f"auth-frame-{name}", {"type": "apiKey", "in": "password", "description": how, "x-auth-field": name}
        case "auth":
            how = f"`{name}` in the payload of CONNECT: `io(url, {{auth: {{{name}: …}}}})`."
            return f"auth-payload-{name}", {
                "type": "apiKey",
                "in": "password",
                "description": how,
                "x-auth-field": name,
            }
        case where:
            return f"{where}-{name}", {"type": "httpApiKey", "name": name, "in": where}


def handshake_schemas(places: Sequence[TokenPlace]) -> dict[str, Any]:
    """What the handshake's query and headers may contain, for a WebSocket binding."""
    query = [place.name for place in places if place.place == "query"]
    headers = [place.name for place in places if place.place == "header"]
    headers += ["Authorization" for place in places if place.place == "bearer"]
    headers += ["Cookie" for place in places if place.place == "cookie"]
    return {
        key: {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        for key, names in (("query", query), ("headers", headers))
        if names
    }
