"""Other threads that fight with the event loop's for the interpreter's lock."""

from __future__ import annotations

from typing import Final

LOST: Final = 0.004
"""Seconds that a stretch of writes takes only when somebody else had the lock: he keeps it for 5 ms by default
(`sys.setswitchinterval`). 64 writes take less than one."""
_SHORTEST, _LONGEST = 1.0, 60.0
"""Seconds until the next attempt: doubled each time, and the shortest again after one that went well."""


class GilBackoff:
    """Whether the lock is fought for, as far as anybody has noticed.

    `os.write` lets go of the lock while the kernel works. Beside a thread that computes, each such
    call may lose it for milliseconds: a thousand of them took 57 ms instead of 6, and beside three
    such threads 245. uvloop's transports keep the lock, and took 10 and 41 ms.
    """

    __slots__ = ("_until", "_wait")

    def __init__(self) -> None:
        self._until = 0.0
        self._wait = _SHORTEST

    def lasts(self, now: float) -> bool:
        """Whether it is better not to let go of the lock at this time (seconds, monotonic)."""
        return now < self._until

    def noticed(self, now: float) -> None:
        """Somebody else had the lock."""
        self._until = now + self._wait
        self._wait = min(self._wait * 2, _LONGEST)

    def gone(self) -> None:
        """A whole fan-out, and not a small one, went without."""
        self._wait = _SHORTEST
