"""Frames that are held while a connection may not be written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """Called when it is about to be written, if the outbox has room for it. None: the connection gets it."""


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

    def insert(self, frames: Iterable[Frame], at: int, room: RoomName | None, unless: Frame | None) -> None:
        """Put frames at the place `at`.

        `room` is where they were broadcast. None: they are for this client alone. `unless` is a broadcast: if its
        messages are among those from there on, nothing is put there.
        """
        if unless is not None:
            since = {message for held in self._frames[at:] for message in held.frame.messages}
            if since.issuperset(unless.messages):
                return
        new = [HeldFrame(frame, None if room is None else (room,), None) for frame in frames]
        self._frames[at:at] = new
        self._bytes += sum(held.frame.size for held in new)

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
