"""Reading in shares: how much is read from one client before others have their turn."""

from __future__ import annotations

from typing import Final

MESSAGES_A_TURN: Final = 64
"""Messages that are read from one client in one turn: each may be handled at once."""
SECONDS_A_TURN: Final = 0.003
"""Seconds of work for one client in one turn. A message that takes longer is the last of its turn."""


class Turn:
    """What one reading loop has used of its turn. The loop measures the work; its waits do not count."""

    __slots__ = ("_messages", "_seconds")

    def __init__(self) -> None:
        self._messages = 0
        self._seconds = 0.0

    def used(self, seconds: float) -> bool:
        """Count a message that took `seconds`. True: the turn is over, and the caller lets others run."""
        self._messages += 1
        self._seconds += seconds
        if self._messages < MESSAGES_A_TURN and self._seconds < SECONDS_A_TURN:
            return False
        self._messages, self._seconds = 0, 0.0
        return True
