"""The mask over everything a client sends (RFC 6455, section 5.3)."""

from __future__ import annotations

_BLOCK = 4096
"""Bytes at a time: larger integers fall out of the processor's caches, and are slower by half."""

_integer = int.from_bytes


def unmask(payload: bytes | bytearray, key: bytes | bytearray) -> bytes:
    """Take the mask off; `key` has four bytes. To mask is the same operation."""
    length = len(payload)
    if length <= _BLOCK:
        # An integer as long as the data is what pure Python has for an operation on many bytes at once.
        mask = _integer((key * (length // 4 + 1))[:length], "little")
        return (_integer(payload, "little") ^ mask).to_bytes(length, "little")
    mask = _integer(key * (_BLOCK // 4), "little")
    whole = length - length % _BLOCK
    parts = [
        (_integer(payload[start : start + _BLOCK], "little") ^ mask).to_bytes(_BLOCK, "little")
        for start in range(0, whole, _BLOCK)
    ]
    parts.append(unmask(payload[whole:], key))
    return b"".join(parts)
