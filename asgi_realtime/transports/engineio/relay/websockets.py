"""Carries a WebSocket of a session of another process: its messages go through the relay, both ways."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

import msgspec
from starlette.types import Receive, Scope, Send

from asgi_realtime.outbound.frame_writer import FLUSH_SECONDS
from asgi_realtime.outbound.stock.read_guard import guard_reading
from asgi_realtime.protocols.engineio import packets
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.interrupt import Interrupt
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.transports.accept import accept_websocket, close_websocket
from asgi_realtime.transports.engineio import responses
from asgi_realtime.transports.engineio.relay.messages import BYTES, CLOSE, RESPONSE, TEXT, decode_close, decode_response
from asgi_realtime.transports.engineio.relay.pipe import Event, Pipe, PipeEnded
from asgi_realtime.transports.engineio.responses import HTTPRefusal


def refusal_of(event: Event | None) -> HTTPRefusal:
    """The refusal of a WebSocket by the process that has its session. None: that process is gone."""
    if event is None:
        return responses.unknown_session()
    if event.kind != RESPONSE:
        return HTTPRefusal(HTTPStatus.FORBIDDEN, 4, "Forbidden")
    response = decode_response(event.data)
    error = msgspec.json.decode(response.body, type=_Error)
    return HTTPRefusal(HTTPStatus(response.status), error.code, error.message)


class _Error(msgspec.Struct):
    """The body of a refusal."""

    code: int
    message: str


async def carry_websocket(
    pipe: Pipe, scope: Scope, receive: Receive, send: Send, *, message_bytes: int, control: Budget, tasks: Tasks
) -> None:
    """Accept a WebSocket and carry it, until one side ends.

    Reading stops while as much as the relay allows is in flight, so a busy process slows its clients down. Nothing is
    taken from the relay while the client does not read. Then the process that has the session closes it as too slow.
    """
    try:
        frames = await accept_websocket(scope, send, compression=False, message_bytes=message_bytes, control=control)
    except OSError:
        return
    ended = Interrupt()
    guard = guard_reading(receive, send, control, ended) if frames is None else None
    pipe.on_change = lambda: ended() if pipe.over else None
    writing = tasks.spawn(_write(pipe, send, ended), name="relayed WebSocket")
    try:
        if await ended.run(_read(receive, pipe)):
            return
        await asyncio.wait([writing], timeout=FLUSH_SECONDS)
    finally:
        pipe.on_change = None
        writing.cancel()
        if guard is not None:
            guard.end()


async def _read(receive: Receive, pipe: Pipe) -> bool:
    """Pass on what the client sends. True: it has gone."""
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return True
        text = event.get("text")
        try:
            if text is None:
                await pipe.send(BYTES, event["bytes"])
            else:
                await pipe.send(TEXT, text.encode())
                if text == packets.UPGRADE:
                    pipe.upgraded = True
                    if pipe.on_upgraded is not None:
                        pipe.on_upgraded()
        except PipeEnded:
            return False


async def _write(pipe: Pipe, send: Send, ended: Interrupt) -> None:
    """Pass on what the client is to receive, until the close."""
    try:
        while (event := await pipe.receive()) is not None and event.kind != CLOSE:
            if not await _sent(send, event):
                return
        code, reason = (1012, "the process of this session has ended") if event is None else decode_close(event.data)
        with contextlib.suppress(Exception):  # as in `_sent`
            await close_websocket(send, code, reason)
    finally:
        ended()


async def _sent(send: Send, event: Event) -> bool:
    """Send a message to the client. False: it has gone."""
    content = {"text": event.data.decode()} if event.kind == TEXT else {"bytes": event.data}
    try:
        await send({"type": "websocket.send", **content})
    except Exception:  # each server raises errors of its own when the client is gone
        return False
    return True
