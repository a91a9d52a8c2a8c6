"""Broadcasts of one loop tick to the same recipients, joined into one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.recipients import NO_RECIPIENTS, Part, Recipients
from asgi_realtime.hub.sent_frames import SentFrames
from asgi_realtime.outbound.outbox import WRITE_BYTES
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName

CallSoon: TypeAlias = Callable[[Callable[[], None]], object]

_MOST_SKIPPED: Final = 64
"""How many connections the broadcasts of a batch may leave out. Each is written to by itself."""
_EVERYONE: Final[tuple[Collection[InternalConnection], bool]] = ((), False)


class Batch:
    """Frames that were broadcast but not written yet, all for the same recipients.

    They are written at the end of the loop's tick. If a room gets several broadcasts in one tick, each client gets
    them in one write: the system call, which is most of the cost of a delivery, is made once. Some of the recipients
    may be left out of some of the broadcasts. Anything else that is written to a connection flushes the batch first,
    so that every client sees one order.
    """

    __slots__ = ("_frames", "_partial", "_recipients", "_rooms", "_sent", "_size", "_skipped", "_call_soon", "_ticking")

    def __init__(self, call_soon: CallSoon | None = None, sent: SentFrames | None = None) -> None:
        """Begin without frames.

        Args:
            call_soon: calls a function at the end of the tick. Default: the running loop's `call_soon`.
            sent: counts what is written. None: it is not counted.
        """
        self._call_soon = call_soon
        self._sent = sent
        self._frames: list[Frame] = []
        self._partial: dict[int, tuple[Collection[InternalConnection], bool]] = {}
        """By the place of a frame: which recipients do not get it, and whether it is volatile."""
        self._recipients = NO_RECIPIENTS
        self._rooms: tuple[RoomName, ...] = ()
        self._size = 0
        self._skipped: set[InternalConnection] = set()
        self._ticking = False

    def add(
        self,
        recipients: Recipients,
        frame: Frame,
        rooms: tuple[RoomName, ...],
        skipped: Collection[InternalConnection] = (),
        volatile: bool = False,
    ) -> None:
        """Write a frame to these recipients, after everything added before.

        `skipped` are those of them that do not get it. A `volatile` one is dropped for clients that are behind when it
        is written.
        """
        if recipients is not self._recipients and not (recipients.same_as(self._recipients) and rooms == self._rooms):
            self.flush()
            self._recipients = recipients
            self._rooms = rooms
        if skipped or volatile:
            self._partial[len(self._frames)] = skipped, volatile
            self._skipped.update(skipped)
        self._frames.append(frame)
        self._size += frame.size
        if self._size >= WRITE_BYTES or len(self._skipped) >= _MOST_SKIPPED:
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
        if not self._frames:
            return
        frames, partial, recipients, rooms = self._frames, self._partial, self._recipients, self._rooms
        # Emptied before writing, because ending a recipient that is too slow flushes again.
        self._frames = []
        self._size = 0
        self._recipients = NO_RECIPIENTS
        if not partial:
            joined = Frame.joined(frames)
            if self._sent is not None:
                self._sent.add(len(frames), joined.size, len(recipients))
            recipients.deliver(joined, rooms)
            return
        self._partial = {}
        self._skipped = set()
        parts = [Part(frame, *partial.get(place, _EVERYONE)) for place, frame in enumerate(frames)]
        if self._sent is not None:
            self._sent.add_parts(parts, len(recipients))
        recipients.deliver_parts(parts, rooms)
