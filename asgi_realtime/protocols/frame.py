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

    __slots__ = ("_asgi", "_deflated", "_parts", "_polling", "_wire", "messages", "positioned", "size")

    def __init__(self, *messages: str | bytes, parts: Sequence[Frame] = ()) -> None:
        """`parts` are other frames that together have these messages. Their `wire` may be made already."""
        self.messages = messages
        if parts:
            self.size: int = sum([part.size for part in parts])
        else:
            self.size = _bytes(messages[0]) if len(messages) == 1 else sum(map(_bytes, messages))
        self._parts = parts
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
        joined = cls(*[message for frame in frames for message in frame.messages], parts=frames)
        if any([frame.positioned for frame in frames]):
            joined.positioned = cls.joined([frame.positioned or frame for frame in frames])
        return joined

    @property
    def wire(self) -> bytes:
        """The frame as a server's WebSocket frames (RFC 6455, section 5.2). Made once, on first use."""
        if self._wire is None:
            parts = self._parts
            self._wire = b"".join([part.wire for part in parts] if parts else map(encode, self.messages))
            self._parts = ()
        return self._wire

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


def _bytes(message: str | bytes) -> int:
    """The size of a message."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
