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
    first write, and again after a `sink_changed`. Those that get positions are sorted apart: see `Frame.positioned`.
    """

    __slots__ = ("_deflating", "_forms", "_others", "_positioned", "_positioned_deflating", "_sinks", "connections")

    def __init__(self, connections: tuple[InternalConnection, ...]) -> None:
        self.connections = connections
        self._sinks: Sinks | None = None
        self._deflating: Sinks | None = None
        self._positioned: Sinks | None = None
        self._positioned_deflating: Sinks | None = None
        self._others: list[InternalConnection] = []
        self._forms: tuple[bool, bool] | None = None

    def __len__(self) -> int:
        return len(self.connections)

    @property
    def forms(self) -> tuple[bool, bool]:
        """Whether any of them gets frames without positions, and whether any gets frames with positions."""
        if self._forms is None:
            positioned = [connection.positions is not None for connection in self.connections]
            self._forms = not all(positioned), any(positioned)
        return self._forms

    def sink_changed(self) -> None:
        """Sort again before the next delivery: the sink of a connection has changed."""
        self._sinks = None

    def deliver(self, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
        """Write a frame to each of them. `rooms` is where it was broadcast; see `InternalConnection.push`."""
        sinks = self._sort() if self._sinks is None else self._sinks
        deflating, others = self._deflating, self._others
        # If the kernel has no room for a client, only that client's next frame is written in another way.
        if sinks:
            sinks.write(frame.wire)
        if deflating is not None:
            deflating.write(frame.deflated)
        positioned = frame.positioned or frame
        if self._positioned is not None:
            self._positioned.write(positioned.wire)
        if self._positioned_deflating is not None:
            self._positioned_deflating.write(positioned.deflated)
        # A push may end a client that is too slow, and other connections with it. For those, `push` does nothing.
        for connection in others:
            connection.push(frame if connection.positions is None else positioned, rooms)

    def _sort(self) -> Sinks:
        sinks: list[Sink] = []
        deflating: list[Sink] = []
        positioned: list[Sink] = []
        positioned_deflating: list[Sink] = []
        self._others = []
        for connection in self.connections:
            sink = connection.sink
            if sink is None:
                self._others.append(connection)
            elif connection.positions is not None:
                (positioned_deflating if sink.deflate else positioned).append(sink)
            elif sink.deflate:
                deflating.append(sink)
            else:
                sinks.append(sink)
        self._deflating = Sinks(deflating) if deflating else None
        self._positioned = Sinks(positioned) if positioned else None
        self._positioned_deflating = Sinks(positioned_deflating) if positioned_deflating else None
        self._sinks = Sinks(sinks)
        return self._sinks


NO_RECIPIENTS = Recipients(())
