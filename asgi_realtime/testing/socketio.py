"""A Socket.IO client in a test, on an Engine.IO wire."""

from __future__ import annotations

from typing import Any

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet

from asgi_realtime.testing.mailbox import Event
from asgi_realtime.testing.payloads import as_sent
from asgi_realtime.testing.socket import ConnectionRefused, Socket
from asgi_realtime.testing.wire import ABNORMAL, NO_STATUS, Closed
from asgi_realtime.values.json import Json


class SocketIOSocket(Socket):
    """A client of one namespace, on a transport of its own.

    python-socketio encodes and decodes the packets, so that this package is not tested against itself.
    """

    # The answer to CONNECT, or to being refused; and whether the application has disconnected this client.
    _answer: Json = None
    _refusal: Json = None
    _disconnected = False
    _partial: Any = None
    _next_ack = 0

    async def _enter(self, auth: Json) -> None:
        self._acks: dict[int, list[Json]] = {}
        self._send_packet(CONNECT, auth)
        await self._until(lambda: self._answer or self._refusal or self.closed, "no answer to CONNECT", None)
        if self._refusal is not None:
            raise ConnectionRefused(self._refusal["message"], data=self._refusal.get("data"))
        if self._answer is None:
            raise ConnectionRefused(f"closed before an answer to CONNECT: {self.closed}")

    async def send(self, event: str, *args: Any, **fields: Any) -> None:
        """Send an event with any number of arguments; `bytes` inside travel as attachments."""
        if fields:
            raise TypeError("a Socket.IO event has arguments, and no fields")
        self._send_packet(EVENT, [event, *args])

    async def call(self, event: str, *args: Any, timeout: float | None = None) -> Json:
        """Send an event and return its acknowledgement: the value, a list of several, or None for none."""
        ack_id = self._next_ack
        self._next_ack += 1
        self._send_packet(EVENT, [event, *args], ack_id)
        values = await self._until(lambda: self._acks.get(ack_id), f"no acknowledgement of {event}", timeout)
        return values[0] if len(values) == 1 else values or None

    async def expect_closed(self, *, timeout: float | None = None) -> Closed:
        """Wait until the application has closed the transport, or disconnected this client from the namespace."""
        await self._until(lambda: self.closed or self._disconnected or None, "still open", timeout)
        if self.closed is None:
            await self._settle()  # if the transport is closed too, that comes at once
        return self.closed or Closed(NO_STATUS, "disconnected from the namespace")

    async def _end(self, code: int) -> None:
        is_in = self._answer is not None and not self._disconnected and self.closed is None
        if is_in and code != ABNORMAL:
            self._send_packet(DISCONNECT)
        await super()._end(code)

    def _send_packet(self, kind: int, data: Any = None, ack_id: int | None = None) -> None:
        packet = Packet(packet_type=kind, data=as_sent(data), namespace=self.gateway, id=ack_id)
        encoded = packet.encode()
        text, *attachments = encoded if isinstance(encoded, list) else [encoded]
        self.wire.send(f"4{text}")
        for attachment in attachments:
            self.wire.send(attachment)

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if self._partial.add_attachment(message):
                self._take(self._partial)
        elif message.startswith("2"):
            self.wire.send("3" + message[1:])
        elif message.startswith("4"):
            packet = Packet(encoded_packet=message[1:])
            if packet.attachment_count:
                self._partial = packet
            else:
                self._take(packet)

    def _take(self, packet: Any) -> None:
        if (packet.namespace or "/") != self.gateway:
            raise AssertionError(f"a packet of namespace {packet.namespace} for a client of {self.gateway}")
        kind = packet.packet_type
        if kind in (EVENT, BINARY_EVENT):
            name, *args = packet.data
            answer = None if packet.id is None else self._answerer(packet.id)
            self._mailbox.put(Event(name, tuple(args), answer))
        elif kind in (ACK, BINARY_ACK):
            self._acks[packet.id] = packet.data
        elif kind == CONNECT:
            self._answer = packet.data
        elif kind == CONNECT_ERROR:
            self._refusal = packet.data
        elif kind == DISCONNECT:
            self._disconnected = True
        self._mailbox.wake()

    def _answerer(self, ack_id: int) -> Any:
        return lambda *values: self._send_packet(ACK, list(values), ack_id)
