"""Times for people: `1h`, `in 5 minutes`, `3 days ago`."""

from __future__ import annotations

import datetime
import math
import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NAMES = {86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}
_LONGEST = 100 * 366 * 86_400
"""Seconds. A longer time is a mistake, such as milliseconds."""


def read_duration(text: str) -> float | None:
    """The seconds that a text such as `90`, `90s`, `15m`, `12h` or `7d` stands for. None for `never`.

    Raises:
        ValueError: the message says what to write.
    """
    if text == "never":
        return None
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhd]?)", text)
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text!r} is not a time; write seconds, or 90s, 15m, 12h, 7d (at most 100 years) or never")
    return seconds


def describe_time(timestamp: float, now: float) -> str:
    """A time in UTC, and how far it is from now. `timestamp` and `now` are seconds since 1970."""
    try:
        moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return f"{str(timestamp)[:40]}, which is no date: seconds since 1970 are expected"
    distance = abs(timestamp - now)
    size = next((size for size in _NAMES if distance >= size), 1)
    number = math.floor(distance / size)
    amount = f"{number} {_NAMES[size]}{'' if number == 1 else 's'}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {f'in {amount}' if timestamp > now else f'{amount} ago'}"
