"""Frames that are held while a connection may not be written to."""

from __future__ import annotations

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName


class HeldFrames:
    """Frames in order, each with the rooms it was broadcast to. Exists only while they are held.

    A frame that was broadcast to users or to all has no rooms. One that was sent to this client alone has None.
    """

    __slots__ = ("_bytes", "_frames", "holds")

    def __init__(self) -> None:
        self.holds = 1
        """How many calls of `hold` have no `release` yet."""
        self._frames: list[tuple[tuple[RoomName, ...] | None, Frame]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame, rooms: tuple[RoomName, ...] | None) -> int:
        """Append a frame. Returns how many bytes are held now."""
        self._frames.append((rooms, frame))
        self._bytes += frame.size
        return self._bytes

    def insert(self, frame: Frame, position: int) -> None:
        """Put a frame at the position `position`, unless one of the frames from there on has the same messages."""
        since = {message for _, held in self._frames[position:] for message in held.messages}
        if not since.issuperset(frame.messages):
            self._frames.insert(position, (None, frame))
            self._bytes += frame.size

    def take_own(self) -> list[Frame]:
        """Remove and return the frames that were sent to this client alone."""
        own = [frame for rooms, frame in self._frames if rooms is None]
        self._frames = [item for item in self._frames if item[0] is not None]
        self._bytes -= sum(frame.size for frame in own)
        return own

    @property
    def frames(self) -> list[tuple[tuple[RoomName, ...] | None, Frame]]:
        """The frames in order, each with its rooms."""
        return self._frames
