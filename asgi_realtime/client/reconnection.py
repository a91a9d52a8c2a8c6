"""When a client returns after its connection was lost."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from asgi_realtime.values.field_types import is_positive


@dataclass(frozen=True, kw_only=True)
class Reconnection:
    """The delays before the attempts to return. Each is half as long to as long as here, at random.

    Attributes:
        first_delay: seconds before the first attempt. Each further delay is twice as long.
        longest_delay: the most seconds between two attempts. A connection that lasted longer ends the row of attempts.
        attempts: attempts in a row before the client gives up. None: it does not give up.
    """

    first_delay: float = 0.5
    longest_delay: float = 30.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: for a delay that is not a finite number above 0, or fewer than 0 attempts.
        """
        for name in ("first_delay", "longest_delay"):
            if not is_positive(value := getattr(self, name)):
                raise ValueError(f"{name}={value!r}: it must be a finite number of seconds above 0")
        if self.attempts is not None and not self.attempts >= 0:
            raise ValueError(f"attempts={self.attempts!r}: it must be 0 or more, or None")

    def delay(self, earlier: int) -> float | None:
        """Seconds before the next attempt, after so many earlier ones in the row. None: give up."""
        if self.attempts is not None and earlier >= self.attempts:
            return None
        longest = min(self.longest_delay, self.first_delay * 2.0 ** min(earlier, 30))
        return longest * random.uniform(0.5, 1)


DEFAULT_RECONNECTION: Final = Reconnection()
