"""Whom a broadcast goes to, and the fan-out itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_realtime.frame_transport import DeflatingSink
from asgi_realtime.messages import Frame, RoomName

if TYPE_CHECKING:
    from asgi_realtime.connection import Connection
    from asgi_realtime.frame_transport import Sink


class Recipients:
    """Connections in a flat snapshot, sorted by the way to them.

    Most are written to directly: for them the fan-out is a loop over the servers' transports that
    does nothing but write. It looks at no object of ours, because each would be one more that the
    processor has to fetch: after a `send()` into the kernel its caches hold nothing of the next client.
    """

    __slots__ = ("_deflating", "_others", "_sinks", "connections")

    def __init__(self, connections: tuple[Connection, ...]) -> None:
        self.connections = connections
        self._sinks: list[Sink] | None = None
        self._deflating: list[Sink] = []
        self._others: list[Connection] = []

    def __len__(self) -> int:
        return len(self.connections)

    def reroute(self) -> None:
        """Sort anew before the next delivery: there is another way to one of them."""
        self._sinks = None

    def deliver(self, frame: Frame, room: RoomName) -> None:
        """Write a frame to each of them. `room` is where it was broadcast; see `Connection.push`."""
        if self._sinks is None:
            self._sort()
        sinks, others = self._sinks, self._others
        if sinks:
            wire = frame.wire
            # A write may find that the kernel has no room, which concerns that client's next frame only.
            for sink in sinks:
                sink.write(wire)
        if self._deflating:
            wire = frame.deflated
            for sink in self._deflating:
                sink.write(wire)
        # A push may end a client that is too slow, and with it others: for those, `push` does nothing.
        for connection in others:
            connection.push(frame, room)

    def _sort(self) -> None:
        self._sinks, self._deflating, self._others = [], [], []
        for connection in self.connections:
            if connection.sink is None:
                self._others.append(connection)
            else:
                (self._deflating if isinstance(connection.sink, DeflatingSink) else self._sinks).append(connection.sink)


NOBODY = Recipients(())
