"""Who reads a WebSocket after its end."""

from __future__ import annotations

from typing import Final


class NoReader:
    """Forgets what comes."""

    __slots__ = ()

    def received(self, message: str | bytes) -> None:
        """Forget a message."""

    def closed(self, code: int, reason: str) -> None:
        """Known already."""


NO_READER: Final = NoReader()
