"""The rules for names of events."""

from __future__ import annotations

from typing import Final

RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names of Socket.IO's own events. An application may not send or receive events with these names."""


def event_text(event: object) -> str:
    """The name of an event as plain `str`. A member of a string enumeration is accepted.

    Raises:
        TypeError: if it is not a string.
    """
    if type(event) is str:
        return event
    if isinstance(event, str):
        return str.__str__(event)
    raise TypeError(f"event must be a str, not {type(event).__qualname__}")


def check_not_reserved(event: str) -> None:
    """Raise if an event has a reserved name.

    The JavaScript client closes its connection when it receives such an event.

    Raises:
        ValueError: the name is reserved. The message contains it.
    """
    if event in RESERVED:
        raise ValueError(f"{event!r} is reserved by Socket.IO and cannot be sent; choose another event name")
