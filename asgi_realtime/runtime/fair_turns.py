"""Fair reading: how much is read from one client before other clients are served."""

from __future__ import annotations

from typing import Final

MESSAGES_A_TURN: Final = 64
"""Messages that are read from one client in one turn."""
SECONDS_A_TURN: Final = 0.003
"""Seconds of work for one client in one turn. A message that takes longer is the last of its turn."""


class Turn:
    """How much of its turn one reading loop has used. The loop measures its work; waiting does not count."""

    __slots__ = ("_messages", "_seconds")

    def __init__(self) -> None:
        self._messages = 0
        self._seconds = 0.0

    def used(self, seconds: float) -> bool:
        """Count a message that took `seconds`. Returns True if the turn is over and the caller must yield."""
        self._messages += 1
        self._seconds += seconds
        if self._messages < MESSAGES_A_TURN and self._seconds < SECONDS_A_TURN:
            return False
        self._messages, self._seconds = 0, 0.0
        return True
