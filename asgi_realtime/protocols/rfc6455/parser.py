"""Decodes the bytes of a client to messages and control frames."""

from __future__ import annotations

import codecs
import dataclasses
from typing import Final, TypeAlias

from asgi_realtime.errors import ProtocolError
from asgi_realtime.protocols.rfc6455.deflate import DeflateError, inflate
from asgi_realtime.protocols.rfc6455.frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    MAX_CONTROL_BYTES,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
)
from asgi_realtime.protocols.rfc6455.masking import LONGEST, REPEAT, unmask
from asgi_realtime.values.close_codes import may_be_sent

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

SMALL_FRAGMENT: Final = 64
"""Fragments of fewer bytes are small. Browsers and proxies use fragments of 1 to 64 KiB."""

_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80
_SHORT_HEADER: Final = 6

_integer = int.from_bytes


class FrameError(ProtocolError):
    """A client broke RFC 6455. `code` is the code to close its connection with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """A ping. It must be answered with a pong of the same payload."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pong:
    """A pong: the answer to a ping, or an unsolicited one."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment that is not the last of its message. It is reported because it costs as much as a message."""

    small: bool
    """Whether it has less than `SMALL_FRAGMENT` bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Close:
    """The client's last frame. `code` is 1005 if it has no code."""

    code: int
    reason: str


Received: TypeAlias = str | bytes | Ping | Pong | Fragment | Close

_SMALL: Final = Fragment(small=True)
_LARGE: Final = Fragment(small=False)


class Parser:
    """Decodes the bytes of one client. `feed` adds bytes, and `next` returns messages and frames, one at a time.

    A message is decoded only when `next` is called, so a reader that pauses keeps bytes, not messages. A message of
    more than `limit` bytes is refused at its header, before its payload has arrived. After a `Close` or an error,
    `next` returns None and further bytes are ignored.
    """

    __slots__ = ("_at", "_compressed", "_ended", "_message", "_need", "_text", "_valid", "buffer", "deflate", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Largest message in bytes, both before and after decompression. It may be changed at any time."""
        self.deflate = False
        """Whether messages may be compressed."""
        self.buffer: bytes | bytearray = b""
        """Holds the bytes that are not decoded. Empty: there are none, and `next` would return None."""
        self._at = 0  # the start of the next frame in `buffer`
        self._need = 2  # bytes that must follow `_at` before decoding can continue
        self._ended = False
        self._message: bytearray | None = None  # the fragments so far
        self._text = False  # whether the fragments are a text
        self._compressed = False  # whether they are compressed
        self._valid = 0  # bytes of that text that are checked

    @property
    def waiting(self) -> int:
        """Bytes that are not decoded yet."""
        return len(self.buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Add bytes that came from the network."""
        if self._ended:
            return
        if not self.buffer:
            self.buffer = data
        else:
            self._keep_rest()
            self.buffer += data

    def next_text(self) -> bytes | None:
        """Return the next message without decoding it, if it is a short text in one frame that has arrived.

        None: it is not, and nothing was consumed.
        """
        buffer, at = self.buffer, self._at
        there = len(buffer)
        start = at + _SHORT_HEADER
        if there < start or buffer[at] != _WHOLE_TEXT or self._message is not None:
            return None
        length = buffer[at + 1] - _MASKED
        if length >= 126:
            if length > 126:
                return None
            length = buffer[at + 2] << 8 | buffer[at + 3]
            start += 2
            if not 126 <= length <= LONGEST:
                return None
        end = start + length
        if length < 0 or end > there or length > self.limit:
            return None
        self._need = 2
        if end == there:
            self.buffer, self._at = b"", 0
        else:
            self._at = end
        # As in `unmask`, without a call.
        words = (length + 7) >> 2
        number = _integer(buffer[start - 4 : start - 4 + (words << 2)], "little")
        return (number ^ (number & 0xFFFFFFFF) * REPEAT[words]).to_bytes(words << 2, "little")[4 : length + 4]

    def next(self) -> Received | None:
        """Return the next message, control frame or fragment. None: more bytes are needed.

        Raises:
            FrameError: the client broke the protocol.
        """
        text = self.next_text()  # most client messages are a short text in one frame
        if text is not None:
            return self.decode(text)
        if not self.buffer:
            return None
        while not self._ended and len(self.buffer) - self._at >= self._need:
            received = self._frame()
            if received is not None:
                return received
        if self._at:
            self._keep_rest()
        return None

    def _frame(self) -> Received | None:
        """Decode the next frame. None: it is incomplete, and more bytes are needed."""
        buffer, at = self.buffer, self._at
        first, second = buffer[at], buffer[at + 1]
        opcode, final, length = first & 0x0F, first >= 0x80, second & 0x7F
        compressed = bool(first & COMPRESSED)
        if first & 0x70 and not (self.deflate and first & 0x70 == COMPRESSED and opcode in (TEXT, BINARY)):
            raise self.refused(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & _MASKED:
            raise self.refused(PROTOCOL_ERROR, "a frame without a mask")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise self.refused(PROTOCOL_ERROR, "an unknown opcode")
            if not final or length > MAX_CONTROL_BYTES:
                raise self.refused(PROTOCOL_ERROR, "a control frame in fragments, or too long")
        elif opcode > BINARY:
            raise self.refused(PROTOCOL_ERROR, "an unknown opcode")
        elif (opcode == CONTINUATION) is (self._message is None):
            raise self.refused(PROTOCOL_ERROR, "a fragment out of place")

        start = at + 6
        if length >= 126:
            wide = 2 if length == 126 else 8
            start += wide
            if len(buffer) < start:
                self._need = start - at
                return None
            length = int.from_bytes(buffer[at + 2 : at + 2 + wide])
            if length < (126 if wide == 2 else 65_536) or length >> 63:
                raise self.refused(PROTOCOL_ERROR, "a length in the wrong form")
        if opcode < CLOSE and length + (0 if self._message is None else len(self._message)) > self.limit:
            raise self.refused(TOO_BIG, f"a message of over {self.limit} bytes")
        end = start + length
        if len(buffer) < end:
            self._need = end - at
            return None

        payload = unmask(buffer, start, length)
        self._consume(end)
        if opcode >= CLOSE:
            return self._control(opcode, payload)
        if opcode != CONTINUATION and final:
            if compressed:
                payload = self._inflate(payload)
            return self.decode(payload) if opcode == TEXT else payload
        if opcode != CONTINUATION:
            self._message, self._text, self._compressed, self._valid = bytearray(), opcode == TEXT, compressed, 0
        return self._fragment(final, payload)

    def _fragment(self, final: bool, payload: bytes) -> str | bytes | Fragment:
        message = self._message
        assert message is not None
        kept = _SMALL if len(payload) < SMALL_FRAGMENT else _LARGE
        message += payload
        if self._compressed:
            if not final:
                return kept
            self._message = None
            whole = self._inflate(bytes(message))
            return self.decode(whole) if self._text else whole
        if self._text:
            try:
                # A fragment may end within a character. Complete characters are checked now, the rest later.
                self._valid += codecs.utf_8_decode(message[self._valid :], "strict", final)[1]
            except UnicodeDecodeError:
                raise self.refused(INVALID_DATA, "text that is not UTF-8") from None
        if not final:
            return kept
        self._message = None
        return message.decode() if self._text else bytes(message)

    def _control(self, opcode: int, payload: bytes) -> Ping | Pong | Close:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        code = NO_STATUS
        if payload:
            code = int.from_bytes(payload[:2])
            if len(payload) == 1 or not may_be_sent(code):
                raise self.refused(PROTOCOL_ERROR, "a close with an invalid code")
        reason = self.decode(payload[2:])
        self._end()
        return Close(code, reason)

    def decode(self, payload: bytes) -> str:
        """Decode the text of a message.

        Raises:
            FrameError: it is not UTF-8. The stream ends, as after any other error.
        """
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise self.refused(INVALID_DATA, "text that is not UTF-8") from None

    def _inflate(self, payload: bytes) -> bytes:
        try:
            message = inflate(payload, self.limit)
        except DeflateError:
            raise self.refused(INVALID_DATA, "a compressed message that cannot be read") from None
        if message is None:
            raise self.refused(TOO_BIG, f"a message of over {self.limit} bytes")
        return message

    def _consume(self, end: int) -> None:
        if end == len(self.buffer):
            self.buffer, self._at = b"", 0
        else:
            self._at = end
        self._need = 2

    def _keep_rest(self) -> None:
        """Remove the decoded bytes from the buffer, so that more bytes can be appended."""
        if isinstance(self.buffer, bytes):
            self.buffer = bytearray(self.buffer[self._at :])
        else:
            del self.buffer[: self._at]
        self._at = 0

    def refused(self, code: int, reason: str) -> FrameError:
        """Return an error with this code, and end the stream as after any other error."""
        self._end()
        return FrameError(code, reason)

    def _end(self) -> None:
        self._ended = True
        self.buffer, self._at, self._message = b"", 0, None
