"""Counts what broadcasts send, once for each batch."""

from __future__ import annotations

from collections.abc import Sequence

from asgi_realtime.hub.recipients import Part
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import BROADCAST_BYTES, BROADCAST_FRAMES


class SentFrames:
    """The frames of broadcasts and their bytes, each counted for every recipient."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self, meter: Meter) -> None:
        self._frames = meter.counter(BROADCAST_FRAMES)
        self._bytes = meter.counter(BROADCAST_BYTES)

    def add(self, frames: int, size: int, recipients: int) -> None:
        """So many frames, of this size together, were written to so many recipients."""
        self._frames.value += frames * recipients
        self._bytes.value += size * recipients

    def add_parts(self, parts: Sequence[Part], recipients: int) -> None:
        """The same, if some of the frames leave recipients out."""
        for part in parts:
            self.add(1, part.frame.size, recipients - len(part.skipped))
