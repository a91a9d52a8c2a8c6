"""The order of positions in one history, and positions that clients send. A position is `epoch-number`."""

from __future__ import annotations

from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position

_DIGITS = 20


def number(position: Position) -> int:
    """The number of a position that this server has made."""
    return int(position.rpartition("-")[2])


def same_history(one: Position, other: Position) -> bool:
    """Whether two positions are of one history, and so can be compared."""
    return one != "" and one.rpartition("-")[0] == other.rpartition("-")[0]


def is_up_to(one: Position, other: Position) -> bool:
    """Whether `one` is not newer than `other`, which is of the same history."""
    return same_history(one, other) and number(one) <= number(other)


def newer(one: Position, other: Position) -> Position:
    """The newer of two positions, or `one` if they are not of one history."""
    return other if is_up_to(one, other) else one


def newest_of(*positions: Position | None) -> Position:
    """The newest of some positions of one history. At least one is not None."""
    return max([position for position in positions if position is not None], key=number)


def position_from_client(value: Json, newest: Position) -> Position | None:
    """A client's position. None: it is not of the history that `newest` belongs to, or is newer than that."""
    if not isinstance(value, str):
        return None
    epoch, _, digits = value.rpartition("-")
    # `isdecimal` alone would accept digits of other scripts, and numbers of any length.
    if epoch != newest.rpartition("-")[0] or not (digits.isascii() and digits.isdecimal() and len(digits) < _DIGITS):
        return None
    position = Position(value)
    return position if number(position) <= number(newest) else None
