"""Where a client's frames may be written at once, and the signal that this has changed.

A `Sink` is a client's transport, as far as bytes can be written to it without waiting. A client has one while its
WebSocket is open, its outbox is empty and the kernel has taken every byte written before. Then a broadcast is written
to the sink, past the outbox. A client without a sink gets its frames through the outbox, which keeps them in order.

The signal is called `sink_changed` on every step. It goes

1. from the outbox, when its writer calls `set_sink`,
2. to each connection whose frames the outbox carries (`SinkListener`),
3. to the hub, and through its rooms to every `Recipients` that lists the connection.

The signal carries no value. Each `Recipients` reads the `sink` of its connections before its next write. A connection
has no sink while its frames are held back or after its end, whatever its outbox has.

It is a synchronous call, and must stay one. `Recipients` keep the descriptors of sockets in arrays. The number of a
closed descriptor is given to the next connection, which must not receive another client's message. An event loop calls
`connection_lost` before it closes the descriptor. Within that call the sink becomes None, and the signal reaches the
hub. So no array with the number is left when it can be reused. For the same reason, nothing overtakes bytes that a
transport has buffered: the loop calls `pause_writing` within the write that filled the buffer.
"""

from __future__ import annotations

from typing import Final, Protocol

NO_DESCRIPTOR: Final = -1


class Sink(Protocol):
    """Takes one client's wire bytes, in order."""

    @property
    def descriptor(self) -> int:
        """The descriptor of its socket. Bytes may be written there while the sink has buffered none.

        `NO_DESCRIPTOR`: it has none that may be written to.
        """

    @property
    def deflate(self) -> bool:
        """Whether compressed frames may be written. Does not change while the WebSocket is open."""

    def write(self, data: bytes, /) -> None:
        """Write, without waiting. What the kernel does not take is buffered."""


class SinkListener(Protocol):
    """Is called when a sink has changed: see the module."""

    def sink_changed(self) -> None:
        """The sink is another one, or None. Called before anything else can be written to the old one."""
