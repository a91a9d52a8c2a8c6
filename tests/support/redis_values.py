"""Cuts what Redis sends into whole values: replies and messages of RESP2 and RESP3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_WITH_BYTES: Final = frozenset(b"$=!")
"""Values with a size in bytes, behind which the bytes and a line break come."""
_WITH_VALUES: Final = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2}
"""Values that consist of others, and how many of these each one that they count has."""


def take_values(buffer: bytearray) -> Iterator[bytes]:
    """Remove the whole values at the beginning of a buffer, one after the other."""
    while (end := _end_of_value(buffer)) is not None:
        value = bytes(buffer[:end])
        del buffer[:end]
        yield value


def _end_of_value(data: bytearray) -> int | None:
    """Where the first value ends. None: it is not complete."""
    at, due = 0, 1
    while due:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        kind = data[at]
        size = int(data[at + 1 : line]) if kind in _WITH_BYTES or kind in _WITH_VALUES else 0
        at = line + 2
        due -= 1
        if kind in _WITH_BYTES and size >= 0:
            at += size + 2
        elif kind in _WITH_VALUES:
            due += max(0, size) * _WITH_VALUES[kind]
    return at if at <= len(data) else None
