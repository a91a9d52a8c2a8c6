"""One message to clients. It is encoded once for each form, and all recipients share the result."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from asgi_realtime.protocols.rfc6455.deflate import COMPRESSED_FROM, deflate
from asgi_realtime.protocols.rfc6455.frames import encode


class Frame:
    """One or more transport messages for clients, encoded once and shared by all recipients.

    `messages` are WebSocket messages in order: text as `str`, binary as `bytes`. A Socket.IO event with attachments is
    one frame of several messages, so that no other message can be written between them. `size` is in bytes. Outboxes
    count it. `positioned` is the same with positions, for the recipients that get them. None: all get this frame.
    """

    __slots__ = ("_asgi", "_deflated", "_polling", "_wire", "messages", "positioned", "size")

    def __init__(self, *messages: str | bytes) -> None:
        self.messages = messages
        self.size = _bytes(messages[0]) if len(messages) == 1 else sum(map(_bytes, messages))
        self._asgi: tuple[dict[str, Any], ...] | None = None
        self._polling: str | None = None
        self._wire: bytes | None = None
        self._deflated: bytes | None = None
        self.positioned: Frame | None = None

    @classmethod
    def joined(cls, frames: Sequence[Frame]) -> Frame:
        """Join several frames into one, to be written at once."""
        if len(frames) == 1:
            return frames[0]
        joined = _Joined(frames)
        if any([frame.positioned for frame in frames]):
            joined.positioned = _Joined([frame.positioned or frame for frame in frames])
        return joined

    @property
    def wire(self) -> bytes:
        """The frame as a server's WebSocket frames (RFC 6455, section 5.2). Made once, on first use."""
        if self._wire is None:
            self._wire = self._encode()
        return self._wire

    def _encode(self) -> bytes:
        return b"".join(map(encode, self.messages))

    @property
    def deflated(self) -> bytes:
        """Like `wire`, but large messages are compressed. Made once, on first use."""
        if self._deflated is None:
            self._deflated = self.wire if self.size < COMPRESSED_FROM else b"".join(map(deflate, self.messages))
        return self._deflated

    @property
    def asgi(self) -> tuple[dict[str, Any], ...]:
        """The frame as ASGI `websocket.send` events. Made once, on first use."""
        if self._asgi is None:
            self._asgi = tuple(
                {"type": "websocket.send", "text": m} if isinstance(m, str) else {"type": "websocket.send", "bytes": m}
                for m in self.messages
            )
        return self._asgi

    @property
    def polling(self) -> str:
        """The frame as part of an Engine.IO polling payload. Made once, on first use."""
        if self._polling is None:
            self._polling = "\x1e".join(
                m if isinstance(m, str) else "b" + base64.b64encode(m).decode("ascii") for m in self.messages
            )
        return self._polling


class _Joined(Frame):
    """Several frames. The wire forms of some may be made already: of events that many clients have missed."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Frame]) -> None:
        super().__init__()
        self.messages = tuple([message for part in parts for message in part.messages])
        self.size = sum([part.size for part in parts])
        self._parts = parts

    def _encode(self) -> bytes:
        parts, self._parts = self._parts, ()
        return b"".join([part.wire for part in parts])


def _bytes(message: str | bytes) -> int:
    """The size of a message."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
