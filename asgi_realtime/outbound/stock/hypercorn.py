"""Access to features of hypercorn that ASGI does not offer: its shutdown, compression, and aborting a connection.

They are reached through the stream object behind an ASGI `send`, which is recognised by its type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.types import Send

_STREAMS: Final = frozenset({"hypercorn.protocol.http_stream", "hypercorn.protocol.ws_stream"})


def hypercorn_stream(send: Send) -> StockStream | None:
    """The stream object behind an ASGI `send`; None: another server, or a middleware of the host wraps `send`."""
    stream = getattr(send, "__self__", None)
    return StockStream(stream) if type(stream).__module__ in _STREAMS else None


class StockStream:
    """One request or WebSocket of hypercorn."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def decline_compression(self) -> None:
        """Decline all extensions of this WebSocket. Must be called before it is accepted.

        Hypercorn offers permessage-deflate to every client, inflates a whole frame before it counts
        the bytes, and has no option for either.
        """
        handshake = getattr(self._stream, "handshake", None)
        if handshake is not None and hasattr(handshake, "extensions"):
            handshake.extensions = None

    @property
    def stopping(self) -> Callable[[], Awaitable[None]] | None:
        """A coroutine function that returns when the server begins to stop. None: this release has none."""
        terminated = getattr(getattr(self._stream, "context", None), "terminated", None)
        wait: Callable[[], Awaitable[None]] | None = getattr(terminated, "wait", None)
        return wait

    def abort(self) -> None:
        """Abort the connection. Does nothing over HTTP/2, because the connection carries other streams too.

        Hypercorn itself waits until the client has read everything, also when it stops.
        """
        protocol = getattr(getattr(self._stream, "send", None), "__self__", None)
        if type(protocol).__module__ == "hypercorn.protocol.h11":
            connection = getattr(getattr(protocol, "send", None), "__self__", None)
            transport = getattr(getattr(connection, "writer", None), "transport", None)
            if transport is not None:
                transport.abort()
