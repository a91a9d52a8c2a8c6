"""Frames of events that clients have missed. Clients that return together have missed the same ones."""

from __future__ import annotations

from typing import Final

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.publications import Position

_FRAMES: Final = 1_000
_FRAME_CHARACTERS: Final = 4_096
"""Longer frames are made for each client, so that all together have a few MB at most."""


class ReplayedFrames:
    """The frames of one gateway by their positions. Each has its position. If there are too many, all are removed."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: dict[Position, Frame] = {}

    def get(self, position: Position) -> Frame | None:
        """The frame of the event with a position. None: it is not here."""
        return self._frames.get(position)

    def put(self, position: Position, frame: Frame) -> None:
        """Keep a frame for the next clients."""
        if sum(map(len, frame.messages)) <= _FRAME_CHARACTERS:
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            self._frames[position] = frame
