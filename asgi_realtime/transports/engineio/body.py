"""The body of a POST: counted and timed as it comes in, whatever length was announced."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from asgi_realtime.limits import Limits
from asgi_realtime.transports.engineio.responses import ClientGone, too_large

_DISCARD_FACTOR = 16
_DISCARD_SECONDS = 5.0
"""How much of a POST over the limit is read and discarded: at most this many times the limit, for this many seconds.

A connection that is closed while data arrives is reset, and the client may never see its 413.
"""


async def read_body(receive: Receive, limits: Limits, largest: int) -> bytearray:
    """Read a body of at most `largest` bytes.

    Raises:
        Refused: it is larger (HTTP 413).
        TimeoutError: nothing came for `Limits.body_timeout` seconds, or it came more slowly than `Limits.body_rate`.
        ClientGone: the client went away.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    body = bytearray()
    async with asyncio.timeout(limits.body_timeout) as deadline:
        more = True
        while more and len(body) <= largest:
            chunk, more = await _next(receive)
            body += chunk
            # A body that arrives at the rate never times out. One that arrived faster may not pause for longer.
            deadline.reschedule(min(loop.time(), began + len(body) / limits.body_rate) + limits.body_timeout)
    if len(body) > largest:
        body.clear()
        if more:
            await _discard(receive, largest * _DISCARD_FACTOR)
        raise too_large()
    return body


async def _discard(receive: Receive, left: int) -> None:
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            more = True
            while more and left >= 0:
                chunk, more = await _next(receive)
                left -= len(chunk)
    except TimeoutError:
        return


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """The next piece, and whether there are more."""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise ClientGone
    return event.get("body", b""), event.get("more_body", False)
