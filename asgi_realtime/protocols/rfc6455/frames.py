"""Encodes the frames of a server: whole, unmasked and never fragmented (RFC 6455, section 5.2)."""

from __future__ import annotations

import struct
from typing import Final

from asgi_realtime.values.close_codes import may_be_sent

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
COMPRESSED: Final = 0x40
"""The reserved bit that permessage-deflate uses (RFC 7692, section 6)."""
NO_STATUS: Final = 1005
"""Stands for a close without a code. It is never sent."""
ABNORMAL: Final = 1006
"""Stands for a connection that ended without a close frame. It is never sent."""
MAX_CONTROL_BYTES: Final = 125
_MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2

_medium = struct.Struct("!BBH").pack
_large = struct.Struct("!BBQ").pack


def encode(message: str | bytes) -> bytes:
    """Make the frame of a message: `str` as text, `bytes` as binary. It may be written to any number of clients.

    Raises:
        UnicodeEncodeError: for text with half a surrogate pair, which UTF-8 cannot encode.
    """
    if isinstance(message, str):
        return _frame(FIN | TEXT, message.encode())
    return _frame(FIN | BINARY, message)


def encode_compressed(message: str | bytes, payload: bytes) -> bytes:
    """Make the frame of a message whose compressed form is `payload`."""
    return _frame(FIN | COMPRESSED | (TEXT if isinstance(message, str) else BINARY), payload)


def ping(payload: bytes = b"") -> bytes:
    """A ping with a payload of at most 125 bytes."""
    return _control(PING, payload)


def pong(payload: bytes = b"") -> bytes:
    """The answer to a ping, with the ping's payload."""
    return _control(PONG, payload)


def close(code: int = 1000, reason: str = "") -> bytes:
    """A close frame. `NO_STATUS` makes one without a code. A reason of more than 123 bytes is cut at a character.

    Raises:
        ValueError: for a code that must not be sent.
    """
    if code == NO_STATUS:
        return _control(CLOSE, b"")
    if not may_be_sent(code):
        raise ValueError(f"{code} is not a code for a close frame")
    return _control(CLOSE, code.to_bytes(2) + shorten(reason).encode())


def shorten(reason: str) -> str:
    """Cut a reason at a character, so that it fits into a close frame (section 5.5)."""
    return reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")


def _control(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame carries at most {MAX_CONTROL_BYTES} bytes")
    return _frame(FIN | opcode, payload)


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65_536:
        return _medium(first, 126, length) + payload
    return _large(first, 127, length) + payload
