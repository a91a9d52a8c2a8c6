"""The loop of the fan-out: one write per client, with the same bytes, to the descriptor of its socket.

An event loop's transport is about ten objects in memory: the transport, its buffer, its handle, its protocol. After a
system call the processor's caches hold none of them for the next client. So a write through a transport costs 0.5 µs
outside the kernel, and a write to a descriptor, a number in an array, 0.1 µs. With 1000 clients that is the largest
part of a broadcast that is not the kernel's.

Writing past the transport is right only under these conditions.

- **No bytes are buffered.** They would be overtaken. A client has a sink only while that holds (see `sink`). What the
  kernel does not take of a message goes to the transport, which buffers it and takes the sink away.
- **The descriptor is still this client's.** Its number is given to another connection once it is closed. Event loops
  call `connection_lost` before they close it, and within that call the sink is gone and `Recipients` sort again.
- **The transport is known** to work that way: asyncio's and uvloop's, without TLS. See `descriptor_of`.
- **Errors stay the transport's.** When a write fails, the transport gets the same bytes, fails in its own way, and ends
  the connection.
- **No other thread competes for the GIL**, which `os.write` releases. See `gil_backoff`.

Everything else writes through the sink: messages to one client, clients without a descriptor, and every client while
the GIL is contended. `MEW_FAST_WRITES=false` turns all of it off, because no client has a sink then.
"""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Collection, Iterable
from time import monotonic
from typing import Final

from asgi_realtime.outbound.gil_backoff import CONTENDED_SECONDS, GilBackoff, has_other_threads
from asgi_realtime.outbound.sink import NO_DESCRIPTOR, Sink

_STRETCH: Final = 64
"""Clients written to between two readings of the clock."""
_gil_backoff = GilBackoff()
"""One for the process, as there is one GIL."""


class Sinks:
    """The sinks of some clients. Valid until `sink_changed` of one of them, and made again then."""

    __slots__ = ("_by_descriptor", "_gil_backoff", "_descriptors", "_others")

    def __init__(self, sinks: Iterable[Sink], gil_backoff: GilBackoff = _gil_backoff) -> None:
        self._gil_backoff = gil_backoff
        self._by_descriptor: list[Sink] = []
        self._others: list[Sink] = []
        for sink in sinks:
            (self._by_descriptor if sink.descriptor != NO_DESCRIPTOR else self._others).append(sink)
        self._descriptors = array("i", [sink.descriptor for sink in self._by_descriptor])

    def __len__(self) -> int:
        return len(self._by_descriptor) + len(self._others)

    def write(self, wire: bytes, skipped: Collection[Sink] = ()) -> None:
        """Write the same bytes to each, except to those that are `skipped`."""
        begin = 0
        for place in self._places(skipped) if skipped else ():
            self._write_between(begin, place, wire)
            begin = place + 1
        self._write_between(begin, len(self._by_descriptor), wire)
        for sink in self._others:
            if sink not in skipped:
                sink.write(wire)

    def _places(self, skipped: Collection[Sink]) -> list[int]:
        """Where some of the sinks are, in order. One pass, whatever their number."""
        wanted = set(skipped)
        return [place for place, sink in enumerate(self._by_descriptor) if sink in wanted]

    def _write_between(self, begin: int, end: int, wire: bytes) -> None:
        for sink in self._by_descriptor[self._write_to_descriptors(begin, end, wire) : end]:
            sink.write(wire)

    def _write_to_descriptors(self, begin: int, end: int, wire: bytes) -> int:
        """Write until the GIL is contended. Returns the place of the first descriptor that was not written to."""
        size, write, now = len(wire), os.write, monotonic()
        descriptors, at = self._descriptors, begin
        while at < end and not self._gil_backoff.active(now):
            started = now
            for place, descriptor in enumerate(descriptors[at : min(at + _STRETCH, end)], at):
                try:
                    taken = write(descriptor, wire)
                except OSError:  # the kernel has no room, or the client is gone
                    taken = 0
                if taken != size:
                    self._by_descriptor[place].write(wire[taken:])
            at += _STRETCH
            now = monotonic()
            if now - started > CONTENDED_SECONDS and has_other_threads():
                self._gil_backoff.contended(now)
            elif at >= end >= begin + _STRETCH:  # a smaller fan-out proves nothing
                self._gil_backoff.undisturbed()
        return at


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """The descriptor that a transport writes its bytes to unchanged. `NO_DESCRIPTOR`: none, or it is not known.

    The transports known here keep it open until `connection_lost` has returned. TLS changes the bytes.
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
