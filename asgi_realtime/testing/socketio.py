"""A Socket.IO client in a test, on an Engine.IO wire."""

from __future__ import annotations

from typing import Any

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet

from asgi_realtime.catalogue import to_builtins
from asgi_realtime.messages import Json
from asgi_realtime.testing.socket import ConnectionRefused, Event, Socket
from asgi_realtime.testing.wires import ABNORMAL, NO_STATUS, Closed


class SocketIOSocket(Socket):
    """A client of one namespace, on a transport of its own.

    Packets are coded by python-socketio, an implementation that is not the one under test.
    """

    def __init__(self, namespace: str, **options: Any) -> None:
        super().__init__(**options)
        self.sid: str | None = None
        """The connection's id, as the application told it."""
        self._namespace = namespace
        self._answer: Json = None
        self._refusal: Json = None
        self._acks: dict[int, list[Json] | None] = {}
        self._next_ack = 0
        self._partial: Any = None
        self._put_out = False

    async def open(self, auth: Json) -> None:
        """Connect, and wait for the namespace's answer."""
        await self.wire.open()
        self._send_packet(CONNECT, auth)
        await self._until(lambda: self._answer or self._refusal or self.closed, None, lambda: "no answer to CONNECT")
        if self._refusal is not None:
            raise ConnectionRefused(self._refusal.get("message", ""), data=self._refusal.get("data"))
        if self._answer is None:
            raise ConnectionRefused(f"closed before an answer to CONNECT: {self.closed}")
        self.sid = self._answer["sid"]

    async def send(self, event: str, *args: Any) -> None:
        """Send an event with any number of arguments; `bytes` inside travel as attachments."""
        self._send_packet(EVENT, [event, *args])

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Send an event and return its acknowledgement: the value, a list of several, or None."""
        ack_id = self._next_ack
        self._next_ack += 1
        self._acks[ack_id] = None
        self._send_packet(EVENT, [event, *args], ack_id)
        values = await self._until(lambda: self._acks[ack_id], timeout, lambda: f"no acknowledgement of {event}")
        return values[0] if len(values) == 1 else values or None

    def take(self, message: str | bytes) -> None:
        """Take an Engine.IO packet."""
        if isinstance(message, bytes):
            if self._partial.add_attachment(message):
                self._take_packet(self._partial)
        elif message.startswith("2"):
            self.wire.send("3" + message[1:])
        elif message.startswith("4"):
            packet = Packet(encoded_packet=message[1:])
            if packet.attachment_count:
                self._partial = packet
            else:
                self._take_packet(packet)

    async def expect_closed(self, *, timeout: float | None = None) -> Closed:
        """Wait until the application has closed the transport, or put this client out of the namespace."""
        await self._until(lambda: self.closed or self._put_out or None, timeout, lambda: "still open")
        if self.closed is None:
            await self._settle()  # the transport's close follows at once, where it does
        return self.closed or Closed(NO_STATUS, "put out of the namespace")

    async def _end(self, code: int) -> None:
        if self._answer is not None and code != ABNORMAL and self.closed is None and not self._put_out:
            self._send_packet(DISCONNECT)
        await super()._end(code)

    def _send_packet(self, kind: int, data: Any = None, ack_id: int | None = None) -> None:
        # JSON of an unusual type is the test's own business: whatever the application could send works too.
        packet = Packet(packet_type=kind, data=to_builtins(data), namespace=self._namespace, id=ack_id)
        encoded = packet.encode()
        first, *attachments = encoded if isinstance(encoded, list) else [encoded]
        self.wire.send(f"4{first}")
        for attachment in attachments:
            self.wire.send(attachment)

    def _take_packet(self, packet: Any) -> None:
        if (packet.namespace or "/") != self._namespace:
            raise AssertionError(f"a packet of namespace {packet.namespace} on a socket of {self._namespace}")
        match packet.packet_type:
            case kind if kind in (EVENT, BINARY_EVENT):
                name, *args = packet.data
                self.arrived(Event(name, tuple(args), None if packet.id is None else self._answerer(packet.id)))
            case kind if kind in (ACK, BINARY_ACK):
                self._acks[packet.id] = packet.data
            case kind if kind == CONNECT:
                self._answer = packet.data or {}
            case kind if kind == CONNECT_ERROR:
                self._refusal = packet.data if isinstance(packet.data, dict) else {"message": packet.data}
            case kind if kind == DISCONNECT:
                self._put_out = True
        self._news.set()

    def _answerer(self, ack_id: int) -> Any:
        return lambda *values: self._send_packet(ACK, list(values), ack_id)
