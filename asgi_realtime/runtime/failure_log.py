"""Logs failures that one cause repeats for many clients, such as a database that is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.log_fields import LoggedConnection, log_fields
from asgi_realtime.runtime.log_limit import LogLimit

logger = logging.getLogger("asgi_realtime")


class _Cause(NamedTuple):
    """What failures have in common. The text of an error is no part of it: it often contains an id of the client."""

    endpoint: str | None
    what: str
    kind: type[BaseException] | None = None
    place: tuple[str, int] | None = None
    """File and line where the error was raised. None: it was not raised, or it does not matter."""


class FailureLog:
    """Logs the first failure of each cause in a minute with its traceback, and later how many others there were."""

    def __init__(self, *, clock: Callable[[], float] = time_source.read_monotonic) -> None:
        self._limit = LogLimit(clock=clock)

    def clear(self) -> None:
        """Log the next failure of every cause, as at the beginning."""
        self._limit.clear()

    def failed(
        self,
        endpoint: str | None,
        what: str,
        error: BaseException,
        *,
        about: str = "",
        traceback: bool = True,
        connection: LoggedConnection | None = None,
        event: str | None = None,
    ) -> None:
        """Log an error, unless its cause was logged in the last minute.

        An error that says that something was too slow or is unavailable is logged without a traceback.

        Args:
            endpoint: where: a gateway. None: everywhere, or not known.
            what: what failed. One of few texts: it is a part of the cause.
            error: the exception.
            about: which client or object, for the text. It is no part of the cause.
            traceback: False: the error says everything. It is logged without a traceback, and neither its type nor
                where it was raised is a part of the cause.
            connection: the connection that it is about, for the fields of the record.
            event: the event, in the same way.
        """
        cause = (
            _Cause(endpoint, what, type(error), _place(error.__traceback__)) if traceback else _Cause(endpoint, what)
        )
        more = self._limit.more(cause)
        if more is None:
            return
        where = "" if endpoint is None else f"{endpoint}: "
        which = f" ({about})" if about else ""
        has_traceback = cause.place is not None and not isinstance(error, TimeoutError | BrokerUnavailable)
        logger.error(
            "%s%s%s: %r%s",
            *(where, what, which, error, more),
            exc_info=error if has_traceback else None,
            extra=log_fields(endpoint, connection=connection, event=event),
        )


def _place(traceback: TracebackType | None) -> tuple[str, int] | None:
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
