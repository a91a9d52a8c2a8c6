"""Accepts a WebSocket, with what the server offers for it, or closes one that is not served."""

from __future__ import annotations

import contextlib

from starlette.types import Scope, Send

from asgi_realtime.outbound.frame_writer import offered
from asgi_realtime.outbound.frames_extension import FrameTransport
from asgi_realtime.outbound.stock.hypercorn import hypercorn_stream
from asgi_realtime.runtime.budgets import Budget


async def accept_websocket(
    scope: Scope, send: Send, *, compression: bool, message_bytes: int, control: Budget, frame_follows: bool = False
) -> FrameTransport | None:
    """Accept a WebSocket. For the other arguments and the result see `offered`.

    `frame_follows`: whether a frame, or a close, is written directly after it.

    Raises:
        OSError: if the client has disconnected.
    """
    frames = offered(scope, compression=compression, message_bytes=message_bytes, control=control)
    if frames is not None:
        frames.hold_acceptance = frame_follows
    hypercorn = hypercorn_stream(send)
    if hypercorn is not None:
        hypercorn.decline_compression()
    await send({"type": "websocket.accept"})
    return frames


async def close_websocket(send: Send, code: int, reason: str = "") -> None:
    """Close a WebSocket, accepted or not. A client that has disconnected is no error (ASGI: `send` raises OSError)."""
    with contextlib.suppress(OSError):
        await send({"type": "websocket.close", "code": code, "reason": reason})
