"""Logs failures that one cause repeats for many clients, such as a database that is down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger("asgi_realtime")

INTERVAL: Final = 60.0
"""Seconds in which each cause is logged once."""
_MOST_CAUSES: Final = 500
"""Most causes that are stored. Then all are removed."""


class FailureLog:
    """Logs the first failure of each cause in a minute, and later how many others there were.

    A cause is an endpoint and the type of the error: the text of an error often contains an id of the client.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._causes: dict[tuple[str, type[BaseException]], tuple[float, int]] = {}

    def failed(self, endpoint: str, text: str, error: BaseException) -> None:
        """Log `text` and the error without a traceback, unless the cause was logged in the last minute."""
        key, now = (endpoint, type(error)), self._clock()
        until, unwritten = self._causes.get(key, (now, 0))
        if now < until:
            self._causes[key] = until, unwritten + 1
            return
        if key not in self._causes and len(self._causes) >= _MOST_CAUSES:
            self._causes.clear()
        self._causes[key] = now + INTERVAL, 0
        more = f"; {unwritten} more since the last line" if unwritten else ""
        logger.error("%s: %s: %r%s", endpoint, text, error, more)
