"""The ids of clients. Their form tells an id from the name of a room, also if its client is connected elsewhere."""

from __future__ import annotations

import base64
import binascii
import secrets
import zlib

_RANDOM_BYTES = 12
_CHECK_BYTES = 3
_LENGTH = 20
"""Characters: as many as in the ids of python-socketio."""


def new_sid() -> str:
    """The id of a new client: random bytes and a checksum of them, URL-safe."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    return base64.urlsafe_b64encode(random + _checksum(random)).decode()


def is_sid(name: str) -> bool:
    """Whether a name has the form of an id. By accident, one of 16 million names of 20 characters has it."""
    if len(name) != _LENGTH:
        return False
    try:
        found = base64.b64decode(name, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return found[_RANDOM_BYTES:] == _checksum(found[:_RANDOM_BYTES])


def _checksum(random: bytes) -> bytes:
    return zlib.crc32(random).to_bytes(4, "big")[:_CHECK_BYTES]
