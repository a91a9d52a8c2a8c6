"""The Socket.IO session of one transport, without I/O: messages in, packets out, namespaces watched."""

from __future__ import annotations

import enum
from collections.abc import Collection

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.packets import (
    Connect,
    Disconnect,
    InboundPacket,
    PartialPacket,
    decode,
    decode_event,
    ignore,
    read_header,
)


class _State(enum.Enum):
    ASKED = enum.auto()
    OPEN = enum.auto()


class SocketIOSession:
    """Decodes what one client sends, and refuses what its namespaces do not allow.

    A namespace is asked for (the client sent CONNECT), open (we called `connected`), or closed (the
    client sent DISCONNECT, or we called `disconnected` to refuse it or put it out). Whoever uses a
    session decides; the session only keeps score.
    """

    __slots__ = ("_closed", "_limits", "_partial", "_states")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._states: dict[str, _State] = {}
        # Closed namespaces, oldest first, if any. Packets already on their way to one are no offence.
        self._closed: dict[str, None] | None = None
        self._partial: PartialPacket | None = None

    @property
    def namespaces(self) -> Collection[str]:
        """The namespaces that are open or asked for. `Limits.namespaces_per_session` is the user's to enforce."""
        return self._states.keys()

    @property
    def incomplete(self) -> bool:
        """Whether attachments of the packet that came last have yet to come."""
        return self._partial is not None

    def receive(self, message: str | bytes) -> InboundPacket | None:
        """Take one Engine.IO message. None: the packet is not whole yet, or is for a closed namespace.

        The first packet of a namespace is a `Connect`; events and acks come while it is open only; a
        `Disconnect` is the last one, and has closed the namespace already. A payload is decoded only if its
        packet is allowed: before authentication that is a `Connect`, which has a limit of its own.

        Raises:
            ProtocolError: the session is of no more use; its transport is to be closed.
        """
        if isinstance(message, str):
            if self._partial is not None:
                raise ProtocolError("text where an attachment was due")
            if message.startswith("2[") and self._states.get("/") is _State.OPEN:
                return decode_event("/", None, message[1:], self._limits)  # most are of this form
            header = read_header(message, self._limits)
            if not self._allows(header.kind, header.namespace):
                self._partial = ignore(message, header, self._limits)
                return None
            packet = decode(message, header, self._limits)
            if isinstance(packet, PartialPacket):
                self._partial = packet
                return None
            return self._admitted(packet)
        partial = self._partial
        if partial is None:
            raise ProtocolError("an attachment without a packet")
        whole = partial.add(message)
        if not partial.missing:
            self._partial = None
        # In the meantime the namespace may have been closed.
        return whole if whole is not None and whole.namespace in self._states else None

    def _allows(self, kind: str, namespace: str) -> bool:
        """Whether a packet may be taken. False: it is to be ignored.

        Raises:
            ProtocolError: the client breaks the rules of its namespaces.
        """
        state = self._states.get(namespace)
        if kind == "0":
            if state is not None:
                raise ProtocolError("a CONNECT to a namespace that is connected")
        elif state is None:
            if self._closed is None or namespace not in self._closed:
                raise ProtocolError("a packet for a namespace never connected")
            return False
        elif state is _State.ASKED and kind != "1":
            raise ProtocolError("a packet for a namespace whose CONNECT has no answer yet")
        return True

    def _admitted(self, packet: InboundPacket) -> InboundPacket:
        """Note what a packet does to its namespace."""
        if type(packet) is Connect:
            if self._closed is not None:
                self._closed.pop(packet.namespace, None)
            self._states[packet.namespace] = _State.ASKED
        elif type(packet) is Disconnect:
            self.disconnected(packet.namespace)
        return packet

    def connected(self, namespace: str) -> None:
        """Open a namespace that was asked for. Does nothing if the client has left it meanwhile."""
        if namespace in self._states:
            self._states[namespace] = _State.OPEN

    def disconnected(self, namespace: str) -> None:
        """Close a namespace from our side: refused, or put out. Packets still coming for it are ignored."""
        if self._states.pop(namespace, None) is None:
            return
        if self._closed is None:
            self._closed = {}
        self._closed[namespace] = None
        if len(self._closed) > self._limits.namespaces_per_session:
            del self._closed[next(iter(self._closed))]
