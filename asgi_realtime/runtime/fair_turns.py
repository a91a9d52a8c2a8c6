"""Fair reading: how much is read from one client before other clients are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

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


class TextTurn:
    """One client's turn to be read: where its next texts come from, and how much of the turn is used."""

    __slots__ = ("_left", "ended", "event", "failed", "handled", "next_text", "over", "text", "until")

    event: str
    """The name of the event that was handled last. Set by the handling, if events are counted."""
    failed: tuple[Any, ...]
    """The event whose handler raised last: its name, its arguments, and what acknowledges it. Set by the handling."""

    def __init__(self, next_text: Callable[[], bytes | None]) -> None:
        self.next_text = next_text
        """Returns the client's next message if it is a text that has arrived. None: it is not, and is not consumed."""
        self.text: bytes | None = None
        """A text that was read but not handled. The reader has to handle it before what follows."""
        self.handled = 0
        """Texts that were handled and are not counted yet."""
        self.ended = False
        """Whether no text is to be handled after the present one."""
        self.over = False
        """Whether the message that was read last is the last of this turn."""
        self.until = 0.0
        """When the turn ends (seconds, monotonic). 0: it has not begun."""
        self._left = MESSAGES_A_TURN

    def begin(self, now: float) -> int:
        """Begin the turn at this time (seconds, monotonic), unless it has begun. Returns how many messages are left."""
        if not self.until:
            self.until = now + SECONDS_A_TURN
        return self._left

    def count(self, messages: int, now: float) -> None:
        """Count messages, of which the last was read at this time."""
        self.begin(now)
        self._left -= messages
        if self._left <= 0 or now > self.until:
            self.over = True
