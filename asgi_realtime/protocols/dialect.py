"""The contract of a dialect: how events are encoded for one wire protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.publications import Position


class Dialect(Protocol):
    """Encodes events for one wire protocol. Does no I/O."""

    @property
    def binary(self) -> bool:
        """Whether a payload may contain `bytes`."""

    def event_name(self, event: str) -> str:
        """Check an event's name before sending, and return it as `str`. `event_args` calls this, `event` does not.

        Raises:
            TypeError: the name is not a string.
            ValueError: the name is reserved.
        """

    def event(self, event: str, payload: bytes = b"", attachments: Sequence[bytes] = ()) -> Frame:
        """Make the frame of an event whose payload is JSON already (empty: no payload)."""

    def with_position(self, frame: Frame, position: Position) -> Frame:
        """The frame of an event with its position, for a client that may recover. Made from the frame's text."""

    def needs_position(self, frame: Frame) -> bool:
        """Whether a client that may recover would take something else in this frame for a position."""

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Encode an event with any number of values, if the protocol allows more than one."""
