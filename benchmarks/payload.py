"""What is broadcast: the same 200 bytes everywhere, and a number by which the receiver checks loss and order."""

from __future__ import annotations

from typing import TypedDict

EVENT = "MESSAGE_CREATE"
ROOM = "room"
_TEXT = "x" * 150


class Payload(TypedDict):
    """A message: its number, and filling."""

    number: int
    text: str


def payload(number: int) -> Payload:
    """Make message `number`."""
    return {"number": number, "text": _TEXT}
