"""A route by which a test calls a method of the broadcaster of a server in another process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_realtime import get_broadcaster
from asgi_realtime.errors import RealtimeError


def calls_to(get: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Make a route that calls a method of what `get` returns: `{"method", "arguments", "options"}`."""

    async def call(request: Request) -> Response:
        wanted = await request.json()
        return await answer(await get(request), wanted["method"], wanted["arguments"], wanted["options"])

    return call


async def answer(target: Any, method: str, arguments: Sequence[Any], options: dict[str, Any]) -> Response:
    """Call a method, in a thread if it is not a coroutine function. Its result as JSON, or its error with 503."""
    function = getattr(target, method)
    try:
        if inspect.iscoroutinefunction(function):
            result: Any = await function(*arguments, **options)
        else:
            result = await asyncio.to_thread(function, *arguments, **options)
    except RealtimeError as error:
        return JSONResponse({"error": type(error).__name__, "message": str(error)}, 503)
    return Response(msgspec.json.encode(result), media_type="application/json")


call = calls_to(get_broadcaster)
"""Calls a method of the broadcaster."""
