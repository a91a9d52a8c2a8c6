"""The reader of a WebSocket after its end."""

from __future__ import annotations

from typing import Final


class DiscardingReader:
    """Discards every message."""

    __slots__ = ()

    def received(self, message: str | bytes) -> None:
        """Discard a message."""

    def websocket_closed(self, code: int, reason: str) -> None:
        """Do nothing: the end was known before."""


DISCARDING_READER: Final = DiscardingReader()
"""One for all WebSockets, since it has no state."""
