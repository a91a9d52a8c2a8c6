"""Logs failures that one cause repeats for many clients, such as a database that is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.log_fields import LoggedConnection, log_fields

logger = logging.getLogger("asgi_realtime")

INTERVAL: Final = 60.0
"""Seconds in which each cause is logged once."""
_MOST_CAUSES: Final = 500
"""Most causes that are stored. Then all are removed."""


class _Cause(NamedTuple):
    """What failures have in common. The text of an error is no part of it: it often contains an id of the client."""

    endpoint: str
    what: str
    kind: type[BaseException]
    place: tuple[str, int] | None
    """File and line where the error was raised. None: it was not raised."""


class FailureLog:
    """Logs the first failure of each cause in a minute with its traceback, and later how many others there were."""

    def __init__(self, *, clock: Callable[[], float] = time_source.read_monotonic) -> None:
        self._clock = clock
        self._causes: dict[_Cause, tuple[float, int]] = {}

    def failed(
        self,
        endpoint: str,
        what: str,
        error: BaseException,
        *,
        about: str = "",
        connection: LoggedConnection | None = None,
        event: str | None = None,
    ) -> None:
        """Log an error, unless its cause was logged in the last minute.

        An error that says that something was too slow or is unavailable is logged without a traceback.

        Args:
            endpoint: where: a gateway.
            what: what failed. One of few texts: it is a part of the cause.
            error: the exception.
            about: which client or object, for the text. It is no part of the cause.
            connection: the connection that it is about, for the fields of the record.
            event: the event, in the same way.
        """
        cause, now = _Cause(endpoint, what, type(error), _place(error.__traceback__)), self._clock()
        until, unwritten = self._causes.get(cause, (now, 0))
        if now < until:
            self._causes[cause] = until, unwritten + 1
            return
        if cause not in self._causes and len(self._causes) >= _MOST_CAUSES:
            self._causes.clear()
        self._causes[cause] = now + INTERVAL, 0
        which = f" ({about})" if about else ""
        more = f"; {unwritten} more since the last line" if unwritten else ""
        has_traceback = cause.place is not None and not isinstance(error, TimeoutError | BrokerUnavailable)
        logger.error(
            "%s: %s%s: %r%s",
            *(endpoint, what, which, error, more),
            exc_info=error if has_traceback else None,
            extra=log_fields(endpoint, connection=connection, event=event),
        )


def _place(traceback: TracebackType | None) -> tuple[str, int] | None:
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
