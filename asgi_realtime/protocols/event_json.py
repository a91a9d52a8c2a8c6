"""The names of events as JSON."""

from __future__ import annotations

import functools
from typing import Final

from asgi_realtime.payloads.encoding import encode_json

_NAMES: Final = 1024


@functools.lru_cache(maxsize=_NAMES)
def quoted(event: str) -> str:
    """The name of an event as JSON text. The last 1,024 are kept: an app sends the same few again and again."""
    return encode_json(event).decode()
