"""Removes the mask of client frames (RFC 6455, section 5.3).

In pure Python, one large integer is the fastest way to apply an operation to many bytes. For a short payload most of
the time is spent on the number of operations, so `unmask` needs few:

- The key lies directly before the payload. Both are read as one little-endian integer, whose low 32 bits are the key.
- The key times `0x…00000001_00000001` is the mask of all bytes. `REPEAT` has these factors, by the number of words.
- The bytes are read up to a whole number of words, so that the mask needs no shortening. What is read behind the
  payload is cut off in the slice that also cuts off the key, which is now four zeros.

A payload of 75 bytes takes 0.46 µs. With a mask made of repeated bytes it takes 0.63 µs, and 1.15 µs with tables for
`bytes.translate`, one for each byte of the key.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1024
"""Bytes of the longest payload that the factors are kept for."""

REPEAT: Final = tuple(int.from_bytes(b"\1\0\0\0" * words, "little") for words in range(LONGEST // 4 + 2))
"""The factors: `REPEAT[n]` repeats a key `n` times."""

_BLOCK = 4096
"""Bytes that are unmasked at a time. Larger integers do not fit into the processor's caches and are much slower."""

_integer = int.from_bytes


def unmask(buffer: bytes | bytearray, start: int, length: int) -> bytes:
    """Return a payload without its mask. It has `length` bytes from `start` on. The key is directly before it."""
    if length <= LONGEST:
        words = (length + 7) >> 2
        number = _integer(buffer[start - 4 : start - 4 + (words << 2)], "little")
        return (number ^ (number & 0xFFFFFFFF) * REPEAT[words]).to_bytes(words << 2, "little")[4 : length + 4]
    mask = _integer(buffer[start - 4 : start] * (_BLOCK // 4), "little")
    blocks = [
        (_integer(buffer[at : at + _BLOCK], "little") ^ mask).to_bytes(_BLOCK, "little")
        for at in range(start, start + length, _BLOCK)
    ]
    return b"".join(blocks)[:length]
