"""Why clients are refused, in the log: a line for each cause, and no more lines than a person can read.

Whatever a client presented is shown only in a form that can hold no secret and no control character.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from asgi_realtime.auth.origin_patterns import Origin

logger = logging.getLogger("asgi_realtime")

FOREIGN_ORIGIN: Final = "foreign origin"
"""The reason of a refusal whose line is written by `origin`."""

INTERVAL: Final = 60.0
"""Seconds in which a cause is logged once for each detail."""
MOST_DETAILS: Final = 5
"""Lines of one cause in an interval, such as of one origin each."""
MOST_CAUSES: Final = 500
"""Causes remembered. The others share one."""

_EXPECTED: Final = frozenset(
    {
        "the token has expired",
        "the token is revoked",
        "unknown session id",
        "the server is stopping",
        "no CONNECT in time",
        "no auth frame in time",
    }
)
"""What happens every day where nothing is wrong."""
_NAME = re.compile(r"[a-z_/-]{1,30}")
"""A name that can be shown. Tokens have digits and capitals, or are longer."""


class _Cause:
    """One cause at one endpoint, in the current interval."""

    __slots__ = ("details", "until", "unwritten")

    def __init__(self) -> None:
        self.until = 0.0
        self.details: set[str] = set()
        self.unwritten = 0


class RefusalLog:
    """Logs why clients are refused: once a minute for each endpoint, reason and detail. A line has the number of others.

    A refusal without a line costs only a dictionary access, and the memory used is bounded. So an attacker can fill
    neither the log nor the memory.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._causes: dict[tuple[str, str], _Cause] = {}
        self._swept = 0.0

    def refused(self, endpoint: str, reason: str, name: str = "") -> None:
        """Note a refusal.

        Args:
            endpoint: what refused: a gateway, or a path of the server's own.
            reason: why, in words of the server's own.
            name: what the client asked for, such as a namespace. Shown only if it looks like a name.
        """
        cause = self._cause_to_log(endpoint, reason, name[:64])
        if cause is not None:
            shown = name.partition("?")[0]
            about = f" ({shown if _NAME.fullmatch(shown) else 'an unreadable name'})" if name else ""
            level = logging.INFO if reason in _EXPECTED else logging.WARNING
            self._write(level, cause, endpoint, reason + about)

    def origin(self, endpoint: str, origin: str | None, host: str | None) -> None:
        """Note that a page was refused for its origin."""
        cause = self._cause_to_log(endpoint, FOREIGN_ORIGIN, (origin or "")[:300])
        if cause is not None:
            own = Origin.parse(f"http://{host}") if host else None
            self._write(
                logging.WARNING,
                cause,
                endpoint,
                f"the origin {shown_origin(origin)} is neither in MEW_CORS_ORIGINS nor the same origin "
                f"(Host: {str(own).removeprefix('http://') if own else 'none that can be read'})",
            )

    def _cause_to_log(self, endpoint: str, reason: str, detail: str) -> _Cause | None:
        """The cause, if a line is to be written."""
        now = self._clock()
        cause = self._causes.get((endpoint, reason))
        if cause is None:
            cause = self._remember(endpoint, reason, now)
        if now >= cause.until:
            cause.until = now + INTERVAL
            cause.details.clear()
        if detail in cause.details or len(cause.details) >= MOST_DETAILS:
            cause.unwritten += 1
            return None
        cause.details.add(detail)
        return cause

    def _remember(self, endpoint: str, reason: str, now: float) -> _Cause:
        if len(self._causes) >= MOST_CAUSES and now >= self._swept + INTERVAL:
            self._swept = now
            self._causes = {key: cause for key, cause in self._causes.items() if now < cause.until}
        key = (endpoint, reason) if len(self._causes) < MOST_CAUSES else ("", "")
        return self._causes.setdefault(key, _Cause())

    def _write(self, level: int, cause: _Cause, endpoint: str, text: str) -> None:
        more, cause.unwritten = cause.unwritten, 0
        logger.log(
            level, "%s refused a client: %s%s", endpoint, text, f"; {more} more since the last line" if more else ""
        )


def shown_origin(origin: str | None) -> str:
    """An `Origin` header as it may stand in a log."""
    if origin == "null":
        return "null"
    found = None if origin is None else Origin.parse(origin)
    return "that is none" if found is None else str(found).encode("ascii", "replace").decode()
