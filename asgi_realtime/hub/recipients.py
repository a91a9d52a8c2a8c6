"""The connections that a broadcast goes to, ready for the fan-out."""

from __future__ import annotations

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.outbound.fan_out import Sinks
from asgi_realtime.outbound.sink import Sink
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName


class Recipients:
    """A fixed list of connections, sorted by how frames are written to them.

    Connections with a sink are written to by `Sinks`. The others get each frame by `push`. They are sorted before the
    first write, and again after a `sink_changed`.
    """

    __slots__ = ("_deflating", "_others", "_sinks", "connections")

    def __init__(self, connections: tuple[InternalConnection, ...]) -> None:
        self.connections = connections
        self._sinks: Sinks | None = None
        self._deflating: Sinks | None = None
        self._others: list[InternalConnection] = []

    def __len__(self) -> int:
        return len(self.connections)

    def sink_changed(self) -> None:
        """Sort again before the next delivery: the sink of a connection has changed."""
        self._sinks = None

    def deliver(self, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
        """Write a frame to each of them. `rooms` is where it was broadcast; see `InternalConnection.push`."""
        sinks = self._sort() if self._sinks is None else self._sinks
        deflating, others = self._deflating, self._others
        # If the kernel has no room for a client, only that client's next frame is written in another way.
        sinks.write(frame.wire)
        if deflating is not None:
            deflating.write(frame.deflated)
        # A push may end a client that is too slow, and other connections with it. For those, `push` does nothing.
        for connection in others:
            connection.push(frame, rooms)

    def _sort(self) -> Sinks:
        sinks: list[Sink] = []
        deflating: list[Sink] = []
        self._others = []
        for connection in self.connections:
            sink = connection.sink
            if sink is None:
                self._others.append(connection)
            elif sink.deflate:
                deflating.append(sink)
            else:
                sinks.append(sink)
        self._deflating = Sinks(deflating) if deflating else None
        self._sinks = Sinks(sinks)
        return self._sinks


NO_RECIPIENTS = Recipients(())
