"""Where wire bytes go: one client's sink, many clients' sinks, and the descriptors of their sockets."""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Iterable
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


class Sinks:
    """The sinks of some clients, nothing buffered in any: the loop of the fan-out.

    The kernel is asked directly. A descriptor is a number in an array, while a transport is some
    ten places in memory, and after a `send` into the kernel the processor's caches hold none of
    the next client's. The transport takes over where the kernel does not take everything, or
    fails: it knows what to do then.

    An event loop tells a protocol `connection_lost` before it closes the descriptor, which is then
    another connection's. By the end of that call the client has no sink any more, and whoever
    keeps `Sinks` has made new ones before the next write.
    """

    __slots__ = ("_by_descriptor", "_descriptors", "_others")

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._by_descriptor: list[Sink] = []
        self._others: list[Sink] = []
        for sink in sinks:
            (self._by_descriptor if sink.descriptor != NO_DESCRIPTOR else self._others).append(sink)
        self._descriptors = array("i", [sink.descriptor for sink in self._by_descriptor])

    def write(self, wire: bytes) -> None:
        """Write the same bytes to each."""
        size, ask = len(wire), os.write
        for place, descriptor in enumerate(self._descriptors):
            try:
                taken = ask(descriptor, wire)
            except OSError:  # no room, or no client any more
                taken = 0
            if taken != size:
                self._by_descriptor[place].write(wire[taken:])
        for sink in self._others:
            sink.write(wire)


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """The descriptor that a transport's bytes go to as they are; `NO_DESCRIPTOR`: it has none, or we do not know.

    Only event loops are known that keep it open until `connection_lost` has returned. Under TLS
    bytes do not go out as they are.
    """
    if os.name != "posix" or not isinstance(transport, _known_transports()):
        return NO_DESCRIPTOR
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor


def _known_transports() -> tuple[type, ...]:
    uvloop = sys.modules.get("uvloop.loop")
    if uvloop is None:
        return (_SelectorSocketTransport,)
    return (_SelectorSocketTransport, uvloop.TCPTransport, uvloop.UnixTransport)
