"""Logs why clients are refused: one line for each cause, at a limited rate.

A value that a client sent is shown only in a form that cannot contain a secret or a control character.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from asgi_realtime.auth.origin_patterns import Origin
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.log_fields import log_fields

logger = logging.getLogger("asgi_realtime")

FOREIGN_ORIGIN: Final = "foreign origin"
"""The reason of refusals that are logged by `origin`."""

INTERVAL: Final = 60.0
"""Seconds in which a cause is logged once for each detail."""
MOST_DETAILS: Final = 5
"""Most lines of one cause in an interval, for example one for each origin."""
MOST_CAUSES: Final = 500
"""Most causes that are remembered. Further ones share one entry."""

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
"""Reasons that occur in normal operation. They are logged at level INFO."""
_NAME = re.compile(r"[a-z_/-]{1,30}")
"""Names that may be shown. A token has digits or capitals, or is longer."""


class _Cause:
    """One cause at one endpoint, in the current interval."""

    __slots__ = ("details", "until", "unwritten")

    def __init__(self) -> None:
        self.until = 0.0
        self.details: set[str] = set()
        self.unwritten = 0


class RefusalLog:
    """Logs why clients are refused: once a minute for each endpoint, reason and detail, with the number of the others.

    A refusal without a line costs only a dictionary access, and the memory used is bounded. So an attacker can fill
    neither the log nor the memory.
    """

    def __init__(self, *, clock: Callable[[], float] = time_source.read_monotonic) -> None:
        self._clock = clock
        self._causes: dict[tuple[str, str], _Cause] = {}
        self._swept = 0.0

    def clear(self) -> None:
        """Log the next refusal, whatever its reason, as at the beginning."""
        self._causes.clear()
        self._swept = 0.0

    def refused(self, endpoint: str, reason: str, name: str = "") -> None:
        """Count a refusal, and log it unless it was logged recently.

        Args:
            endpoint: where the client was refused: a gateway, or another path.
            reason: why. It must not contain text from the client.
            name: what the client asked for, such as a namespace. It is shown only if it looks like a name.
        """
        cause = self._cause_to_log(endpoint, reason, name[:64])
        if cause is not None:
            shown = name.partition("?")[0]
            about = f" ({shown if _NAME.fullmatch(shown) else 'an unreadable name'})" if name else ""
            level = logging.INFO if reason in _EXPECTED else logging.WARNING
            self._write(level, cause, endpoint, reason + about)

    def origin(self, endpoint: str, origin: str | None, host: str | None) -> None:
        """The same for a page that was refused because of its origin."""
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
        """The cause, if a line must be written. None: not now."""
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
            level,
            "%s refused a client: %s%s",
            *(endpoint, text, f"; {more} more since the last line" if more else ""),
            extra=log_fields(endpoint),
        )


def shown_origin(origin: str | None) -> str:
    """An `Origin` header in a form that is safe to log."""
    if origin == "null":
        return "null"
    found = None if origin is None else Origin.parse(origin)
    return "that is none" if found is None else str(found).encode("ascii", "replace").decode()
