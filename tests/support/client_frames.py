"""Valid and invalid WebSocket frames of a client."""

from __future__ import annotations

import zlib

from asgi_realtime.protocols.rfc6455.masking import unmask

KEY = b"\x37\xfa\x21\x3d"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    key: bytes | None = KEY,
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """One frame. `length` replaces the length in its header; `width` is the size of that field in bytes (0, 2, 8)."""
    length = len(payload) if length is None else length
    if width is None:
        width = 0 if length < 126 else 2 if length < 65_536 else 8
    second = {0: length, 2: 126, 8: 127}[width] | (0x80 if key else 0)
    head = bytes((final << 7 | reserved << 4 | opcode, second)) + (length.to_bytes(width) if width else b"")
    return head + (key + unmask(key + payload, len(key), len(payload)) if key else payload)


def text(message: str, *, final: bool = True) -> bytes:
    """A text message, or its first fragment."""
    return frame(TEXT, message.encode(), final=final)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2) + reason)


def fragments(opcode: int, *payloads: bytes) -> bytes:
    """A message in as many frames as there are payloads."""
    last = len(payloads) - 1
    return b"".join(
        frame(CONTINUATION if number else opcode, payload, final=number == last)
        for number, payload in enumerate(payloads)
    )


def deflated(opcode: int, message: bytes, *, bits: int = 15) -> bytes:
    """A compressed message in one frame (RFC 7692)."""
    compressor = zlib.compressobj(wbits=-bits)
    payload = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(opcode, payload.removesuffix(b"\x00\x00\xff\xff"), reserved=4)
