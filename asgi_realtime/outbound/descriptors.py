"""The loop of the fan-out: one write per client, to the descriptors of their sockets where possible."""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Iterable
from time import monotonic
from typing import Final

from asgi_realtime.outbound.gil_backoff import LOST, GilBackoff
from asgi_realtime.outbound.sink import NO_DESCRIPTOR, Sink

_STRETCH: Final = 64
"""Clients written to between two looks at the clock."""
_gil_backoff = GilBackoff()
"""The interpreter has one lock."""


class Sinks:
    """The sinks of some clients, nothing buffered in any: the loop of the fan-out.

    The kernel is asked directly. A descriptor is a number in an array, while a transport is some
    ten places in memory, and after a `send` into the kernel the processor's caches hold none of
    the next client's. The transport takes over where the kernel does not take everything, or
    fails: it knows what to do then; and where other threads want the interpreter, see `GilBackoff`.

    An event loop tells a protocol `connection_lost` before it closes the descriptor, which is then
    another connection's. By the end of that call the client has no sink any more, and whoever
    keeps `Sinks` has made new ones before the next write.
    """

    __slots__ = ("_by_descriptor", "_gil_backoff", "_descriptors", "_others")

    def __init__(self, sinks: Iterable[Sink], gil_backoff: GilBackoff = _gil_backoff) -> None:
        self._gil_backoff = gil_backoff
        self._by_descriptor: list[Sink] = []
        self._others: list[Sink] = []
        for sink in sinks:
            (self._by_descriptor if sink.descriptor != NO_DESCRIPTOR else self._others).append(sink)
        self._descriptors = array("i", [sink.descriptor for sink in self._by_descriptor])

    def write(self, wire: bytes) -> None:
        """Write the same bytes to each."""
        for sink in self._by_descriptor[self._write_to_descriptors(wire) :]:
            sink.write(wire)
        for sink in self._others:
            sink.write(wire)

    def _write_to_descriptors(self, wire: bytes) -> int:
        """Write to as many as is wise, and return how many."""
        size, ask, now = len(wire), os.write, monotonic()
        descriptors, count = self._descriptors, 0
        while count < len(descriptors) and not self._gil_backoff.lasts(now):
            begun = now
            for place, descriptor in enumerate(descriptors[count : count + _STRETCH], count):
                try:
                    taken = ask(descriptor, wire)
                except OSError:  # no room, or no client any more
                    taken = 0
                if taken != size:
                    self._by_descriptor[place].write(wire[taken:])
            count += _STRETCH
            now = monotonic()
            if now - begun > LOST:
                self._gil_backoff.noticed(now)
            elif count >= len(descriptors) >= _STRETCH:  # a smaller fan-out proves nothing
                self._gil_backoff.gone()
        return count


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
