"""An asyncio transport without a socket: what is written is kept, and bytes are received when a test says so."""

from __future__ import annotations

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """One connection of a client to a protocol object."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written = bytearray()
        """Everything that the server has written."""
        self.ended: str | None = None
        """How the server has ended the connection. None: it has not."""
        self._protocol: Any = protocol
        self._reading = True
        self._unread: list[bytes] = []
        protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        """Bytes come from the client. They wait while the protocol has paused reading."""
        self._unread.append(data)
        self._deliver()

    def lose(self) -> None:
        """The client is gone."""
        if self.ended is None:
            self.ended = "lost"
            self._protocol.connection_lost(None)

    def _deliver(self) -> None:
        while self._reading and self._unread and self.ended is None:
            self._protocol.data_received(self._unread.pop(0))

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`, here and below."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver what waits in the loop's next turn, as sockets do."""
        self._reading = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep bytes that are written."""
        if self.ended is None:
            self.written += data

    def _end(self, how: str) -> None:
        if self.ended is None:
            self.ended = how
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def close(self) -> None:
        """End the connection."""
        self._end("closed")

    def abort(self) -> None:
        """End the connection at once."""
        self._end("aborted")

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self.ended is not None

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Note the end of the server's stream."""
        self.written += b"<eof>"

    def get_write_buffer_size(self) -> int:
        """Nothing is ever kept unsent."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever kept unsent."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""
        found: asyncio.BaseProtocol = self._protocol
        return found

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses of the client and the server."""
        return {"peername": ("192.0.2.1", 1000), "sockname": ("192.0.2.2", 80)}.get(name, default)
