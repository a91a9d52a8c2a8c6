"""The scope extension by which a server lets WebSocket frames be written synchronously."""

from __future__ import annotations

from typing import Final, Protocol

from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.fair_turns import TextTurn

EXTENSION: Final = "asgi_realtime.frames"
"""Its name in `scope["extensions"]`. Described for servers in `docs/reference/frame-transport.md`."""


class WriteListener(Protocol):
    """Is called when frames may be written to a transport, and when not. asyncio's names for a protocol's callbacks."""

    def pause_writing(self) -> None:
        """Bytes are buffered, or the WebSocket is no longer open. May be called within `write`."""

    def resume_writing(self) -> None:
        """`FrameTransport.buffered` is 0 again."""


class Reader(Protocol):
    """Reads a WebSocket by callbacks: see `FrameTransport.detach`."""

    def received(self, message: str | bytes, /) -> object:
        """Take the next message. What it returns does not matter."""

    def websocket_closed(self, code: int, reason: str, /) -> None:
        """The WebSocket has ended. Called once."""


class TextReader(Protocol):
    """Takes texts before they are decoded. For the package's own readers, which have it as `text_reader`."""

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next texts, none or more. All others go to `Reader.received`, beginning with `turn.text`."""


class FrameTransport(Protocol):
    """One accepted WebSocket, below ASGI's `receive` and `send`. All of it is for the event loop's thread."""

    is_open: bool
    """Whether frames may be written: from the acceptance to the first close of either side."""
    descriptor: int
    """The socket's descriptor. -1: bytes would not go out as they are (TLS), or the event loop is not known.

    `os.write` may be called with it while the WebSocket is open and nothing is buffered. After the listener's
    `pause_writing` it may belong to another connection. What the kernel does not take goes to `write`.
    """
    listener: WriteListener | None
    """Called when writing must pause and may resume. Set by the code that writes."""
    control: Budget
    """How many frames without a message the client may send: pings, unsolicited pongs, small fragments.

    Over: closed with 1008.
    """
    max_message_bytes: int
    """Largest message the client may send. Over: closed with 1009 before it is in memory."""
    hold_acceptance: bool
    """Set it before the acceptance if a frame follows in the same step: then one write takes both.

    The response waits for the first frame that is written. A server may ignore it.
    """
    deflate: bool
    """Before the acceptance: set it to agree to permessage-deflate, if the client offers it without context.

    After the acceptance: whether it was agreed, so that compressed frames may be written (see `rfc6455.deflate`).
    """

    @property
    def buffered(self) -> int:
        """Bytes written that the kernel has not taken yet. Under TLS, up to 64 KiB more may wait unseen."""

    def write(self, frames: bytes) -> None:
        """Write whole RFC 6455 frames, in order with what `send` writes.

        Never waits and never raises, however much is buffered. Does nothing before the WebSocket was
        accepted and after its end.
        """

    def detach(self, reader: Reader) -> None:
        """Read the accepted WebSocket by callbacks. The ASGI coroutine may return, and the connection stays open.

        From now on the reader's `received` gets each message, in order. Its `websocket_closed(code, reason)` is called
        once, after the last message: at once if the client or the server ends the connection (1006: the client's
        connection is lost). After the application's own `close` or `abort` it is called when nothing is left of the
        connection. It is not called within this method.

        Raises:
            RuntimeError: before `websocket.accept`, or a second time.
        """

    def pause(self) -> None:
        """Deliver no message until `resume`, and not the end that comes after unread messages."""

    def resume(self) -> None:
        """Go on reading. Messages that have come may be delivered before this returns."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what is written. A client that does not answer in time is cut."""

    def abort(self) -> None:
        """Cut the connection at once. What is buffered is lost."""
