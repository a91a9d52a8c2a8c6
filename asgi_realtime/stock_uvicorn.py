"""Writing past ASGI `send` on a stock uvicorn: whole frames to the transport, at once, in order with its own.

A WebSocket frame is atomic on the wire, so one may be written beside the server's state machine
between any two of its own, also where permessage-deflate was negotiated (with RSV1 clear a frame is
not compressed; RFC 7692, section 6). The protocol object is recognised behind `send` by its type.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from starlette.types import Send

from asgi_realtime.outbox import Outbox

_PROTOCOLS = (
    ("uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol"),
    ("uvicorn.protocols.websockets.wsproto_impl", "WSProtocol"),
)
"""Those that have written the 101 when `send(accept)` returns. The deprecated `websockets` one has not."""

_BATCH_BYTES = 65_536
"""What is written at a time when the kernel has room again."""


def recognise(send: Send) -> Any:
    """The protocol object behind an ASGI `send` whose WebSocket was accepted; None if it is none that we know.

    None also where a middleware of the host wraps `send`: then it has something to say about frames.
    """
    protocol = getattr(send, "__self__", None)
    if protocol is None:
        return None
    for module, name in _PROTOCOLS:
        loaded = sys.modules.get(module)
        if loaded is not None and type(protocol) is getattr(loaded, name, None):
            transport = getattr(protocol, "transport", None)
            if transport is not None and not transport.is_closing():
                return protocol
    return None


class DirectWriting:
    """Lets an outbox write straight to a recognised protocol's transport, as long as the kernel takes it all.

    What the kernel does not take waits in the outbox, under its limit, until the transport says that
    it has room again. Nothing runs meanwhile.
    """

    __slots__ = ("_held", "_outbox", "_protocol", "_transport", "_was")

    def __init__(self, outbox: Outbox, protocol: Any) -> None:
        self._outbox = outbox
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self._held = True
        self._was: dict[str, Callable[..., None]] = {
            name: getattr(protocol, name) for name in ("pause_writing", "resume_writing", "connection_lost")
        }

    def start(self) -> None:
        """Write what waits, and whatever is pushed from now on."""
        self._protocol.pause_writing = self._paused
        self._protocol.resume_writing = self._resumed
        self._protocol.connection_lost = self._lost
        # With a mark of zero "paused" means exactly that unsent bytes are held.
        self._transport.set_write_buffer_limits(high=0)
        if self._transport.get_write_buffer_size() == 0:
            self._drain()

    def stop(self) -> None:
        """Write nothing more this way; the protocol is as it was."""
        self._outbox.direct = None
        for name in self._was:
            self._protocol.__dict__.pop(name, None)

    def _drain(self) -> None:
        self._held = False
        while not self._held and (frames := self._outbox.take(_BATCH_BYTES)):
            self._transport.write(b"".join([frame.wire for frame in frames]))
        if not self._held:
            self._outbox.direct = self._transport.write

    def _paused(self) -> None:
        self._held = True
        self._outbox.direct = None
        self._was["pause_writing"]()

    def _resumed(self) -> None:
        self._was["resume_writing"]()
        self._drain()

    def _lost(self, error: Exception | None) -> None:
        self.stop()
        self._was["connection_lost"](error)
