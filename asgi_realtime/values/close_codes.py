"""The close codes and reasons that host code may use when it closes a connection."""

from __future__ import annotations

from typing import Final

TOO_SLOW: Final = "too slow"
"""The reason, with code 1013, for a client that reads too slowly."""
STAY_AWAY: Final = frozenset({1000, 1008})
"""Codes after which a client should not reconnect automatically. After any other code it may."""


def may_be_sent(code: int) -> bool:
    """Whether a close frame may carry this code (RFC 6455, section 7.4)."""
    return 3000 <= code <= 4999 or 1000 <= code <= 1003 or 1007 <= code <= 1014


def check_close(call: str, code: object, reason: object) -> None:
    """Raise if a close frame cannot carry this code and reason. `call` names the caller in the error.

    A reason of more than 123 bytes of UTF-8 is accepted. It is cut at a character when it is written.

    Raises:
        ValueError: for a code that must not be sent (RFC 6455, section 7.4).
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
