"""The contract of a wire form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.publications import Position


class Dialect(Protocol):
    """One wire form: how an event looks on it. Pure."""

    @property
    def binary(self) -> bool:
        """Whether a payload may have `bytes` in it."""

    def event_name(self, event: str) -> str:
        """The name of an event that is about to be sent, as plain `str`. `event_args` checks it, `event` does not.

        Raises:
            TypeError: it is not text.
            ValueError: it is reserved.
        """

    def event(
        self,
        event: str,
        payload: bytes = b"",
        attachments: Sequence[bytes] = (),
        position: Position | None = None,
    ) -> Frame:
        """Wrap a payload that is already JSON (empty: none)."""

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Encode an event with any number of values, where the wire form has room for them."""
