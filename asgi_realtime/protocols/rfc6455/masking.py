"""Removes the mask of client frames (RFC 6455, section 5.3)."""

from __future__ import annotations

_BLOCK = 4096
"""Bytes that are unmasked at a time. Larger integers do not fit into the processor's caches and are much slower."""

_integer = int.from_bytes


def unmask(payload: bytes | bytearray, key: bytes | bytearray) -> bytes:
    """Unmask a payload. `key` has four bytes. Masking is the same operation."""
    length = len(payload)
    if length <= _BLOCK:
        # In pure Python, one large integer is the fastest way to apply an operation to many bytes.
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
