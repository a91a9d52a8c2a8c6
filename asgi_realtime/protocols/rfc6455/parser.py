"""What a client writes: bytes in, messages and control frames out, as they become whole."""

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
from asgi_realtime.protocols.rfc6455.masking import unmask
from asgi_realtime.values.close_codes import may_be_sent

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

SMALL_FRAGMENT: Final = 64
"""Bytes. What fragments for a reason takes more: browsers and proxies 1 to 64 KiB."""

_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80
_SHORT_HEADER: Final = 6


class FrameError(ProtocolError):
    """A client broke RFC 6455. `code` is what its connection is closed with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with a pong of the same payload."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping, or a heartbeat nobody asked for."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment that is not the last of its message, which keeps it. Told because it costs as much as a message."""

    small: bool
    """Whether it has less than `SMALL_FRAGMENT` bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Close:
    """The client's last frame. `code` is 1005 where it said none."""

    code: int
    reason: str


Received: TypeAlias = str | bytes | Ping | Pong | Fragment | Close

_SMALL: Final = Fragment(small=True)
_LARGE: Final = Fragment(small=False)


class Parser:
    """Decodes one client's bytes: `feed` takes them, `next` takes out what they hold, one at a time.

    Nothing is decoded before it is asked for, so a reader that stops asking holds bytes, not
    messages. A message over `limit` bytes is refused by its header, before its payload is here.
    After a `Close` or an error, nothing more comes and further bytes are forgotten.
    """

    __slots__ = ("_at", "_buffer", "_compressed", "_ended", "_message", "_need", "_text", "_valid", "deflate", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Largest message, in bytes; of a compressed one, both before and after. It may be changed at any time."""
        self.deflate = False
        """Whether messages may be compressed."""
        self._buffer: bytes | bytearray = b""
        self._at = 0  # where the next frame begins
        self._need = 2  # bytes from there without which nothing can be said
        self._ended = False
        self._message: bytearray | None = None  # what the fragments so far hold
        self._text = False  # whether they are of a text
        self._compressed = False  # and compressed
        self._valid = 0  # how much of that text has been checked

    @property
    def waiting(self) -> int:
        """Bytes that have been fed and not decoded yet."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the network."""
        if self._ended:
            return
        if not self._buffer:
            self._buffer = data
        else:
            self._keep_rest()
            self._buffer += data

    def next(self) -> Received | None:
        """Take out the next message, control frame or fragment; None until there are more bytes.

        Raises:
            FrameError: the client broke the protocol.
        """
        buffer, at = self._buffer, self._at
        if not buffer:
            return None
        # Nearly all that clients send is a short text in one frame, so that comes first and without a call.
        if buffer[at] == _WHOLE_TEXT and self._message is None and len(buffer) - at >= _SHORT_HEADER:
            length = buffer[at + 1] - _MASKED
            start = at + _SHORT_HEADER
            if length == 126:
                length = buffer[at + 2] << 8 | buffer[at + 3]
                start += 2
            end = start + length
            there = len(buffer)
            if 0 <= length <= self.limit and end <= there and (length < 126) is (start == at + _SHORT_HEADER):
                self._need = 2
                if end == there:
                    self._buffer, self._at = b"", 0
                else:
                    self._at = end
                try:
                    return unmask(buffer[start:end], buffer[start - 4 : start]).decode()
                except UnicodeDecodeError:
                    raise self.refused(INVALID_DATA, "text that is not UTF-8") from None
        while not self._ended and len(self._buffer) - self._at >= self._need:
            received = self._frame()
            if received is not None:
                return received
        if self._at:
            self._keep_rest()
        return None

    def _frame(self) -> Received | None:
        """Read the frame in front. None: more bytes are needed, as it is not whole."""
        buffer, at = self._buffer, self._at
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

        payload = unmask(buffer[start:end], buffer[start - 4 : start])
        self._consume(end)
        if opcode >= CLOSE:
            return self._control(opcode, payload)
        if opcode != CONTINUATION and final:
            if compressed:
                payload = self._inflate(payload)
            return self._decode(payload) if opcode == TEXT else payload
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
            return self._decode(whole) if self._text else whole
        if self._text:
            try:
                # A character may be cut anywhere: what is whole so far is checked now, the rest with the next fragment.
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
        reason = self._decode(payload[2:])
        self._end()
        return Close(code, reason)

    def _decode(self, payload: bytes) -> str:
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
        if end == len(self._buffer):
            self._buffer, self._at = b"", 0
        else:
            self._at = end
        self._need = 2

    def _keep_rest(self) -> None:
        """Make what has not been read the whole of the buffer, so that more can be put behind it."""
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer[self._at :])
        else:
            del self._buffer[: self._at]
        self._at = 0

    def refused(self, code: int, reason: str) -> FrameError:
        """Make an error of the reader's own, which ends the stream as one found here does."""
        self._end()
        return FrameError(code, reason)

    def _end(self) -> None:
        self._ended = True
        self._buffer, self._at, self._message = b"", 0, None
