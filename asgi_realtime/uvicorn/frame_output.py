"""The writing half of a WebSocket under uvicorn."""

from __future__ import annotations

import asyncio
from typing import cast

from asgi_realtime.outbound.fan_out import descriptor_of
from asgi_realtime.outbound.frames_extension import WriteListener


class FrameOutput(asyncio.Protocol):
    """Writes frames to the transport, and calls the listener when the kernel stops and starts taking them."""

    __slots__ = ("_held", "_lost", "deflate", "descriptor", "is_open", "listener", "transport")

    transport: asyncio.Transport
    descriptor: int

    def __init__(self) -> None:
        self.listener: WriteListener | None = None
        self.deflate = False
        """Before the acceptance: whether to agree to compression. After it: whether messages may be compressed."""
        self.is_open = False
        """Whether frames may be written: from the acceptance to the first close of either side."""
        self._lost = False
        self._held: bytes | None = None  # a response that waits for the first frame. Empty: it is to wait

    @property
    def hold_acceptance(self) -> bool:
        """See `FrameTransport`."""
        return self._held is not None

    @hold_acceptance.setter
    def hold_acceptance(self, hold: bool) -> None:
        self._held = b"" if hold else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.descriptor = descriptor_of(transport)
        # So `resume_writing` means that nothing is left. asyncio's TLS takes 0 for "always too much".
        self.transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)

    def pause_writing(self) -> None:
        """The kernel has not taken everything, or nothing more may be written."""
        if self.listener is not None:
            self.listener.pause_writing()

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        if self.listener is not None:
            self.listener.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self.is_open, self._lost = False, True
        self.pause_writing()
        self.listener = None

    @property
    def lost(self) -> bool:
        """Whether the connection is closed, or is being closed."""
        return self._lost or self.transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""
        return 0 if self._lost else self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Write whole frames."""
        # A write may have failed since the event loop was last at work. asyncio logs a line for each one after that.
        if self.is_open and not self.transport.is_closing():
            self._write(frames)

    def _accept(self, response: bytes) -> None:
        """Write the response that opens the WebSocket, or keep it for the first frame."""
        if self._held is None:
            self.transport.write(response)
        else:
            self._held = response

    def _write(self, frames: bytes) -> None:
        if self._held is not None:
            frames, self._held = self._held + frames, None
        self.transport.write(frames)
