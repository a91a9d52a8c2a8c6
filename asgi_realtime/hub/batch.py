"""Broadcasts of one loop tick to the same recipients, joined into one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from asgi_realtime.hub.recipients import NO_RECIPIENTS, Recipients
from asgi_realtime.outbound.outbox import WRITE_BYTES
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]


class Batch:
    """Frames that were broadcast but not written yet, all for the same recipients.

    They are written at the end of the loop's tick. If a room gets several broadcasts in one tick, each client gets
    them in one write: the system call, which is most of the cost of a delivery, is made once. Anything else that is
    written to a connection flushes the batch first, so that every client sees one order.
    """

    __slots__ = ("_frames", "_recipients", "_rooms", "_size", "_call_soon", "_ticking")

    def __init__(self, call_soon: CallSoon | None = None) -> None:
        """`call_soon` calls a function at the end of the tick. Default: the running loop's `call_soon`."""
        self._call_soon = call_soon
        self._frames: list[Frame] = []
        self._recipients = NO_RECIPIENTS
        self._rooms: tuple[RoomName, ...] = ()
        self._size = 0
        self._ticking = False

    def add(self, recipients: Recipients, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
        """Write a frame to these recipients, after everything added before."""
        # A room's recipients are the same object until a member joins or leaves.
        if recipients is not self._recipients:
            self.flush()
            self._recipients = recipients
            self._rooms = rooms
        self._frames.append(frame)
        self._size += frame.size
        if self._size >= WRITE_BYTES:
            self.flush()
            return
        if not self._ticking:
            self._ticking = True
            (self._call_soon or asyncio.get_running_loop().call_soon)(self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self.flush()

    def flush(self) -> None:
        """Write what was added. Called before anything else is written to a connection."""
        if self._frames:
            frame = Frame.joined(self._frames)
            recipients = self._recipients
            # Emptied before writing, because ending a recipient that is too slow flushes again.
            self._frames = []
            self._size = 0
            self._recipients = NO_RECIPIENTS
            recipients.deliver(frame, self._rooms)
