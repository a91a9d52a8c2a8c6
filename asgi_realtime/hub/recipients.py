"""The connections that a broadcast goes to, ready for the fan-out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.outbound.fan_out import Sinks
from asgi_realtime.outbound.sink import Sink
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName

FEW: Final = 8
"""For so many connections or fewer, sorting costs more than it saves."""


class Part(NamedTuple):
    """One broadcast of several that are written together."""

    frame: Frame
    skipped: Collection[InternalConnection]
    """The recipients that do not get it."""
    volatile: bool
    """Whether it is dropped for clients that are behind."""


class Recipients:
    """A fixed list of connections, to which frames are written one after the other.

    `SortedRecipients` writes faster. It is worth it for a list that is kept, or for more than `FEW` connections.
    """

    __slots__ = ("_forms", "connections")

    def __init__(self, connections: tuple[InternalConnection, ...]) -> None:
        self.connections = connections
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

    def same_as(self, other: Recipients) -> bool:
        """Whether frames for both may be joined: they are the same connections, in the same order."""
        return type(other) is type(self) and other.connections == self.connections

    def behind(self) -> list[InternalConnection]:
        """Those that volatile events are not written to."""
        return [connection for connection in self.connections if connection.behind]

    def deliver(self, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
        """Write a frame to each of them. `rooms` is where it was broadcast; see `InternalConnection.push`."""
        for connection in self.connections:
            _write(connection, frame, rooms)

    def deliver_parts(self, parts: Sequence[Part], rooms: tuple[RoomName, ...]) -> None:
        """Write some broadcasts to each of them, in order and at once, except to those that a part leaves out."""
        apart = dict.fromkeys([connection for part in parts for connection in part.skipped])
        self._deliver_except(apart, parts, Frame.joined([part.frame for part in parts]), rooms)
        for connection in apart:
            if frames := [part.frame for part in parts if connection not in part.skipped]:
                _write(connection, Frame.joined(frames), rooms)

    def _deliver_except(
        self, apart: Collection[InternalConnection], parts: Sequence[Part], frame: Frame, rooms: tuple[RoomName, ...]
    ) -> None:
        """Write to all but some. `frame` is all parts together."""
        _push_parts(self.connections, apart, parts, frame, rooms)


class SortedRecipients(Recipients):
    """The same, sorted by how frames are written to them.

    Connections with a sink are written to by `Sinks`. The others get each frame by `push`. They are sorted before the
    first write, and again after a `sink_changed`. Those that get positions are sorted apart: see `Frame.positioned`.
    """

    __slots__ = ("_deflating", "_others", "_positioned", "_positioned_deflating", "_sinks")

    def __init__(self, connections: tuple[InternalConnection, ...]) -> None:
        super().__init__(connections)
        self._sinks: Sinks | None = None
        self._deflating: Sinks | None = None
        self._positioned: Sinks | None = None
        self._positioned_deflating: Sinks | None = None
        self._others: list[InternalConnection] = []

    def sink_changed(self) -> None:
        """Sort again before the next delivery: the sink of a connection has changed."""
        self._sinks = None

    def same_as(self, other: Recipients) -> bool:
        """Whether it is this list. Lists of many connections are kept until a member changes, so they need no look."""
        return other is self

    def behind(self) -> list[InternalConnection]:
        """As in `Recipients`. A client with a sink is never behind."""
        if self._sinks is None:
            self._sort()
        return [connection for connection in self._others if connection.behind]

    def deliver(self, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
        """As in `Recipients`."""
        others = self._write(frame)
        # A push may end a client that is too slow, and other connections with it. For those, `push` does nothing.
        for connection in others:
            connection.push(frame if connection.positions is None else frame.positioned or frame, rooms)

    def _deliver_except(
        self, apart: Collection[InternalConnection], parts: Sequence[Part], frame: Frame, rooms: tuple[RoomName, ...]
    ) -> None:
        sinks = [each.sink for each in apart if each.sink is not None]
        others = self._write(frame, sinks)
        _push_parts(others, apart, parts, frame, rooms)

    def _write(self, frame: Frame, skipped: Sequence[Sink] = ()) -> list[InternalConnection]:
        """Write to all sinks but some. Returns the connections without a sink."""
        sinks = self._sort() if self._sinks is None else self._sinks
        deflating, others = self._deflating, self._others
        # If the kernel has no room for a client, only that client's next frame is written in another way.
        if sinks:
            sinks.write(frame.wire, skipped)
        if deflating is not None:
            deflating.write(frame.deflated, skipped)
        positioned = frame.positioned or frame
        if self._positioned is not None:
            self._positioned.write(positioned.wire, skipped)
        if self._positioned_deflating is not None:
            self._positioned_deflating.write(positioned.deflated, skipped)
        return others

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


def _write(connection: InternalConnection, frame: Frame, rooms: tuple[RoomName, ...]) -> None:
    form = frame if connection.positions is None else frame.positioned or frame
    sink = connection.sink
    if sink is None:
        connection.push(form, rooms)
    else:
        sink.write(form.deflated if sink.deflate else form.wire)


def _push_parts(
    connections: Iterable[InternalConnection],
    apart: Collection[InternalConnection],
    parts: Sequence[Part],
    frame: Frame,
    rooms: tuple[RoomName, ...],
) -> None:
    """Write all parts to each connection that no part leaves out. `frame` is all of them together."""
    volatile = any([part.volatile for part in parts])
    for connection in connections:
        if connection in apart:
            continue
        if not volatile or connection.sink is not None:
            _write(connection, frame, rooms)
            continue
        for part in parts:
            if not (part.volatile and connection.behind):  # each part may make it fall behind
                _write(connection, part.frame, rooms)


NO_RECIPIENTS = Recipients(())
