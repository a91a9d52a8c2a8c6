"""Limits and times that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from asgi_realtime.checks.configuration import Configuration
from asgi_realtime.checks.problem import Problem
from asgi_realtime.variables import variable


class _Pair(NamedTuple):
    small: str
    """The field that must not be greater."""
    large: str
    """Than this one."""
    otherwise: str


_USELESS: Final = (
    _Pair("event_rate", "user_event_rate", "the limit of the user is reached first"),
    _Pair("event_burst", "user_event_burst", "the limit of the user is reached first"),
    _Pair("sessions_per_address", "sessions", "the limit of the process is reached first"),
    _Pair("handshake_bytes", "message_bytes", "the limit of a message is reached first"),
    _Pair("event_name_bytes", "message_bytes", "the limit of a message is reached first"),
    _Pair("room_name_bytes", "message_bytes", "the limit of a message is reached first"),
)
"""The first field has no effect. That is a problem if it was set."""
_HARMFUL: Final = (
    _Pair("recovery_window", "history_ttl", "a client that returns later than that gets no missed events"),
    _Pair("publish_timeout", "handler_timeout", "a handler is cancelled before its broadcast fails"),
    _Pair("jwks_timeout", "connect_timeout", "a client is closed while it waits for the keys"),
    _Pair("jwks_cooldown", "jwks_ttl", "the keys are older than that when they are fetched"),
)
"""Something fails. That is a problem if one of them was set."""


def check_limits(configuration: Configuration) -> Iterator[Problem]:
    """Compare limits and times with each other."""
    for pair in (*_USELESS, *_HARMFUL):
        small, large = variable(pair.small), variable(pair.large)
        value, bound = (_value(configuration, field) for field in (pair.small, pair.large))
        given = [name for name in (small, large) if configuration.has(name)]
        if value > bound and (small in given or (given and pair in _HARMFUL)):
            yield Problem(
                given[0],
                f"{small} ({value:.15g}) is greater than {large} ({bound:.15g}): {pair.otherwise}; lower the first or "
                "raise the second",
            )


def _value(configuration: Configuration, field: str) -> float:
    settings = configuration.settings
    value: float = getattr(settings.limits if hasattr(settings.limits, field) else settings, field)
    return value
