"""What a host may say when it closes a connection: a WebSocket close code and a reason."""

from __future__ import annotations

from typing import Final

TOO_SLOW: Final = "too slow"
"""The reason of a client that does not read, beside code 1013."""
STAY_AWAY: Final = frozenset({1000, 1008})
"""Codes after which a client should not come back by itself. After any other it may."""


def may_be_sent(code: int) -> bool:
    """Whether a code may be in a close frame (RFC 6455, section 7.4): registered, a library's or an application's."""
    return 3000 <= code <= 4999 or 1000 <= code <= 1003 or 1007 <= code <= 1014


def check_close(call: str, code: object, reason: object) -> None:
    """Refuse what a close frame cannot carry, in the name of the call that was given it.

    A reason of over 123 bytes of UTF-8 is not refused: it is cut at a character when it is written.

    Raises:
        ValueError: for a code that must not be on the wire (RFC 6455, section 7.4).
        TypeError: for a code that is not an int, or a reason that is not a str.
    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"{call}: code= takes an int such as 1008, not {code!r}")
    if not may_be_sent(code):
        raise ValueError(
            f"{call}: code={code} may not be sent; use 1000 to 1003, 1007 to 1014, or one of your own from 4000 to 4999"
        )
    if not isinstance(reason, str):
        raise TypeError(f"{call}: reason= takes a str, not {reason!r}")
