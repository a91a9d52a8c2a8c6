"""Stops writes to descriptors while other threads compete for the GIL, the interpreter's lock.

`os.write` releases the GIL for the system call. Without other threads that costs nothing. If another thread computes,
it takes the GIL and holds it for up to 5 ms (`sys.setswitchinterval`), and the event loop waits that long before its
next write. Beside one such thread, 1000 writes took 57 ms instead of 6, and beside three 245 ms. uvloop's transports
keep the GIL during a write: the same writes through them took 10 and 41 ms.

So the fan-out measures a stretch of 64 writes. If it takes longer than writes do, and the process has another thread,
that thread had the GIL, and the transports write for a while: 1 s at first, then twice as long each time, up to 60 s. A
large fan-out that is not disturbed sets the pause back to 1 s. With that, the two cases above took 18 and 38 ms. A
process without another thread has waited for the processor, which the transports would have to wait for too.
"""

from __future__ import annotations

import sys
from typing import Final

CONTENDED_SECONDS: Final = 0.004
"""A stretch of writes that takes longer has waited for another thread. 64 writes take less than 1 ms."""
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds without writes to descriptors: doubled each time, and the shortest again after an undisturbed fan-out."""


def has_other_threads() -> bool:
    """Whether another thread can have the GIL. Takes about a microsecond."""
    return len(sys._current_frames()) > 1  # `threading` does not know the threads that C code has started


class GilBackoff:
    """Whether the GIL should be kept during writes. Times are in seconds, monotonic."""

    __slots__ = ("_until", "_wait")

    def __init__(self) -> None:
        self._until = 0.0
        self._wait = _SHORTEST

    def active(self, now: float) -> bool:
        """Whether calls that release the GIL should be avoided at this time."""
        return now < self._until

    def contended(self, now: float) -> None:
        """Another thread had the GIL during a stretch of writes."""
        self._until = now + self._wait
        self._wait = min(self._wait * 2, _LONGEST)

    def undisturbed(self) -> None:
        """A whole fan-out, and not a small one, had the GIL for itself."""
        self._wait = _SHORTEST
