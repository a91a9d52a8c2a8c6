"""Which names an event may have."""

from __future__ import annotations

from typing import Final

RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that Socket.IO's clients and servers use for events of their own. They may not travel."""


def event_text(event: object) -> str:
    """The name of an event as plain `str`: a member of a string enumeration is one, too.

    Raises:
        TypeError: for anything but text.
    """
    if type(event) is str:
        return event
    if isinstance(event, str):
        return str.__str__(event)
    raise TypeError(f"event must be a str, not {type(event).__qualname__}")


def check_not_reserved(event: str) -> None:
    """Refuse to send an event that a Socket.IO client would take for one of its own.

    The stock JavaScript client closes its connection when it gets one.

    Raises:
        ValueError: naming the event.
    """
    if event in RESERVED:
        raise ValueError(f"{event!r} is reserved by Socket.IO and cannot be sent; choose another event name")
