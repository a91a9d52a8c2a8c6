"""Passes the body of a relayed request on, as it comes. Its size and speed are checked where the session is."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from asgi_realtime.runtime.interrupt import Interrupt
from asgi_realtime.transports.engineio import responses
from asgi_realtime.transports.engineio.relay.messages import BODY
from asgi_realtime.transports.engineio.relay.pipe import PART, Pipe, PipeEnded
from asgi_realtime.transports.engineio.responses import ClientGone

LAST, MORE = b".", b"+"
"""The first byte of a piece: whether another piece follows."""


async def first_piece(receive: Receive, seconds: float) -> tuple[bytes, bool]:
    """The first piece of a body, and whether there are more. A small body is relayed with the request itself.

    Raises:
        HTTPRefusal: it did not come within `seconds`.
        ClientGone: the client went away.
    """
    try:
        async with asyncio.timeout(seconds):
            event = await receive()
    except TimeoutError:
        raise responses.too_slow() from None
    if event["type"] == "http.disconnect":
        raise ClientGone
    return event.get("body", b""), event.get("more_body", False)


async def pass_body(receive: Receive, pipe: Pipe, rest: bytes, more: bool) -> bool:
    """Pass on a body until the request is answered. Costs no task. True: the client went away before.

    Args:
        receive: ASGI's.
        pipe: the relay.
        rest: what was read and is still to be sent.
        more: whether more is to be read.
    """
    answered = Interrupt()
    pipe.on_change = answered
    try:
        return bool(await answered.run(_pass(receive, pipe, rest, more)))
    finally:
        pipe.on_change = None


async def _pass(receive: Receive, pipe: Pipe, rest: bytes, more: bool) -> bool:
    try:
        await _send(pipe, rest, more)
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return True
            if more:
                more = event.get("more_body", False)
                body = event.get("body", b"")
                await (_send(pipe, body, more) if body or more else pipe.send(BODY, LAST))
    except PipeEnded:
        return False


async def _send(pipe: Pipe, data: bytes, more: bool) -> None:
    for start in range(0, len(data), PART - 1):
        is_last = not more and start + PART - 1 >= len(data)
        await pipe.send(BODY, (LAST if is_last else MORE) + data[start : start + PART - 1])
