"""Fields of log records, for programs that read logs. The text of a line is for people, and has the same values.

The fields are attributes of the record, which formatters for JSON write beside the message: see
docs/operations/monitoring.md.
Their names begin with `realtime_`. Without that, `event` would replace the message in structlog, `user_id` could have
another type than in the host's own lines, and where a record factory of the host sets an attribute of the same name,
each call of the logger would raise KeyError.
"""

from __future__ import annotations

from typing import Final, Protocol

from asgi_realtime.values.identity import Identity

MOST_CHARACTERS: Final = 200
"""Longer values are cut."""


class LoggedConnection(Protocol):
    """What is logged of a connection."""

    @property
    def id(self) -> str:
        """Its id, which is no secret."""

    @property
    def gateway(self) -> str:
        """The name of its gateway."""

    @property
    def identity(self) -> Identity:
        """Its user."""


def log_fields(
    gateway: str | None = None, *, connection: LoggedConnection | None = None, event: str | None = None
) -> dict[str, str]:
    """The `extra=` of a call of the logger: what is known of it, and nothing else.

    Args:
        gateway: the name of a gateway, or what stands for one in `RefusalLog`.
        connection: the connection that it is about. Its gateway is known then.
        event: the name of an event that the app declares. A name that only a client has chosen is not logged.
    """
    found = {}
    if connection is not None:
        gateway = connection.gateway
        found["realtime_connection_id"] = connection.id
        found["realtime_user_id"] = connection.identity.user_id
    if gateway is not None:
        found["realtime_gateway"] = gateway
    if event is not None:
        found["realtime_event"] = event
    return {name: _shown(value) for name, value in found.items()}


def _shown(value: str) -> str:
    r"""The value on one line: `\n` and the like for characters that a terminal would obey or hide."""
    if len(value) > MOST_CHARACTERS:
        value = value[: MOST_CHARACTERS - 1] + "…"
    return value if value.isprintable() else repr(value)[1:-1]
