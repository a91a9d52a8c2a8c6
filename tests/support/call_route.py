"""`POST /call`: a test calls a method of the broadcaster of a server in another process."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_realtime import Broadcaster, get_broadcaster
from asgi_realtime.errors import RealtimeError


async def call(request: Request) -> Response:
    """Call a method of the broadcaster: `{"method", "arguments", "options"}`."""
    wanted = await request.json()
    broadcaster: Broadcaster = await get_broadcaster(request)
    try:
        result: Any = await getattr(broadcaster, wanted["method"])(*wanted["arguments"], **wanted["options"])
    except RealtimeError as error:
        return JSONResponse({"error": type(error).__name__, "message": str(error)}, 503)
    return Response(msgspec.json.encode(result), media_type="application/json")
