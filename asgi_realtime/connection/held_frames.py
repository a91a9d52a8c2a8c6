"""Frames that are held while a connection may not be written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName

Taker: TypeAlias = Callable[[], bool]
"""Says whether the connection gets a frame that is about to be written."""


class HeldFrame(NamedTuple):
    """A frame that is not written yet."""

    frame: Frame
    rooms: tuple[RoomName, ...] | None
    """Where it was broadcast. Empty: to users or to all. None: it was sent to this client alone."""
    takes: Taker | None
    """Called when it is about to be written. None: the connection gets it."""


class HeldFrames:
    """Frames in order. Exists only while they are held."""

    __slots__ = ("_bytes", "_frames", "holds")

    def __init__(self) -> None:
        self.holds = 1
        """How many calls of `hold` have no `release` yet."""
        self._frames: list[HeldFrame] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame, rooms: tuple[RoomName, ...] | None, takes: Taker | None) -> int:
        """Append a frame. Returns how many bytes are held now."""
        self._frames.append(HeldFrame(frame, rooms, takes))
        self._bytes += frame.size
        return self._bytes

    def insert(self, frame: Frame, position: int, broadcast: Frame) -> None:
        """Put a frame at the position `position`, unless the frames from there on have the messages of `broadcast`."""
        since = {message for held in self._frames[position:] for message in held.frame.messages}
        if not since.issuperset(broadcast.messages):
            self._frames.insert(position, HeldFrame(frame, None, None))
            self._bytes += frame.size

    def take_own(self) -> list[Frame]:
        """Remove and return the frames that were sent to this client alone."""
        own = [held.frame for held in self._frames if held.rooms is None]
        self._frames = [held for held in self._frames if held.rooms is not None]
        self._bytes -= sum(frame.size for frame in own)
        return own

    def drop_broadcasts(self) -> None:
        """Remove the frames that were not sent to this client alone."""
        own = [held for held in self._frames if held.rooms is None]
        self._frames = own
        self._bytes = sum(held.frame.size for held in own)

    @property
    def frames(self) -> list[HeldFrame]:
        """The frames in order."""
        return self._frames
