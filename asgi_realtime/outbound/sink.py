"""Where one client's wire bytes are written."""

from __future__ import annotations

from typing import Final, Protocol

NO_DESCRIPTOR: Final = -1


class Sink(Protocol):
    """Takes one client's wire bytes, in order."""

    @property
    def descriptor(self) -> int:
        """Its socket's, where bytes may be written as well while nothing is buffered; `NO_DESCRIPTOR`: nowhere."""

    def write(self, data: bytes, /) -> None:
        """Write, without waiting. What the kernel does not take is buffered."""


class DeflatingSink:
    """The way to a client that takes compressed frames: whoever writes looks for these."""

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @property
    def descriptor(self) -> int:
        """See `Sink`."""
        return self._sink.descriptor

    def write(self, data: bytes) -> None:
        """Write, without waiting."""
        self._sink.write(data)
