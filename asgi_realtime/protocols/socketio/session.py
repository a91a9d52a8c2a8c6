"""The Socket.IO session of one transport, without I/O: it decodes messages, and checks them against its namespaces."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

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


_USUAL: Mapping[str, _State] = {"/": _State.OPEN}


class SocketIOSession:
    """Decodes the messages of one client, and refuses packets that the state of their namespace does not allow.

    A namespace is asked for (the client sent CONNECT), open (`connected` was called), or closed (the client sent
    DISCONNECT, or `disconnected` was called). The caller decides which clients are accepted. The session only
    records the states.
    """

    __slots__ = ("_closed", "_limits", "_partial", "_states")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Never changed but replaced, so that the clients with one usual namespace share it.
        self._states: Mapping[str, _State] = {}
        # Closed namespaces, oldest first, if any. Packets that the client sent before it knew are ignored.
        self._closed: dict[str, None] | None = None
        self._partial: PartialPacket | None = None

    @property
    def namespaces(self) -> Collection[str]:
        """The namespaces that are open or asked for. The caller enforces `Limits.namespaces_per_session`."""
        return self._states.keys()

    @property
    def incomplete(self) -> bool:
        """Whether the last packet still lacks attachments."""
        return self._partial is not None

    def receive(self, message: str | bytes) -> InboundPacket | None:
        """Decode one Engine.IO message. Returns None if the packet is incomplete, or is for a closed namespace.

        The first packet of a namespace is a `Connect`. Events and acks come only while it is open. A `Disconnect` is
        the last packet, and has closed the namespace already. A payload is decoded only if its packet is allowed.
        Before authentication only a `Connect` is allowed, which has its own limit.

        Raises:
            ProtocolError: the session cannot continue. The caller must close the transport.
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
        # The namespace may have been closed since the packet began.
        return whole if whole is not None and whole.namespace in self._states else None

    def _allows(self, kind: str, namespace: str) -> bool:
        """Whether a packet is accepted. False: it must be ignored.

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
        """Update the state of the packet's namespace."""
        if type(packet) is Connect:
            if self._closed is not None:
                self._closed.pop(packet.namespace, None)
            self._states = {**self._states, packet.namespace: _State.ASKED}
        elif type(packet) is Disconnect:
            self.disconnected(packet.namespace)
        return packet

    def connected(self, namespace: str) -> None:
        """Open a namespace that was asked for. Does nothing if the client has left it since."""
        if namespace in self._states:
            states = {**self._states, namespace: _State.OPEN}
            self._states = _USUAL if states == _USUAL else states

    def disconnected(self, namespace: str) -> None:
        """Close a namespace: the client was refused or disconnected. Later packets for it are ignored."""
        if namespace not in self._states:
            return
        self._states = {name: state for name, state in self._states.items() if name != namespace}
        if self._closed is None:
            self._closed = {}
        self._closed[namespace] = None
        if len(self._closed) > self._limits.namespaces_per_session:
            del self._closed[next(iter(self._closed))]
