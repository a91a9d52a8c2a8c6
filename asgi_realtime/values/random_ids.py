"""Random ids that cannot be guessed."""

from __future__ import annotations

import os
from binascii import b2a_base64

_BYTES = 15
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def random_id() -> str:
    """20 characters of `A-Za-z0-9_-`, from 120 random bits. `secrets.token_urlsafe` takes three times as long."""
    return b2a_base64(os.urandom(_BYTES), newline=False).translate(_URL_SAFE).decode("ascii")
