"""Encodes what a gateway sends in Socket.IO: events, acks and answers to CONNECT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgi_realtime.payloads import encoding
from asgi_realtime.protocols.event_json import quoted
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.socketio.packets import PacketType, encode
from asgi_realtime.protocols.socketio.positions import ends_with_text
from asgi_realtime.values.event_names import check_not_reserved, event_text
from asgi_realtime.values.gateway_names import is_namespace
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position


class SocketIODialect:
    """The frames of one namespace.

    Raises:
        ValueError: for an invalid namespace.
    """

    binary = True

    def __init__(self, namespace: str) -> None:
        if not is_namespace(namespace):
            raise ValueError(f"{namespace!r} is not a namespace: it starts with / and has no comma or question mark")
        self.namespace = namespace
        self._event_prefix = str(encode(PacketType.EVENT, namespace, "[").messages[0])

    def event_name(self, event: str) -> str:
        """Check the name of an event to be sent. See `Dialect.event_name`."""
        event = event_text(event)
        check_not_reserved(event)
        return event

    def event(
        self,
        event: str,
        payload: bytes = b"",
        attachments: Sequence[bytes] = (),
        *,
        ack_id: int | None = None,
    ) -> Frame:
        """Make the frame of an event whose arguments are encoded already. Used for broadcasts.

        `payload` is JSON, with placeholders for the attachments: one argument, or several with commas between them.
        Empty: no argument. `ack_id` asks for an acknowledgement.
        """
        name = quoted(event)
        arguments = f"{name},{payload.decode()}]" if payload else f"{name}]"
        if not attachments and ack_id is None:
            return Frame(f"{self._event_prefix}{arguments}")
        return encode(PacketType.EVENT, self.namespace, f"[{arguments}", attachments=attachments, ack_id=ack_id)

    def event_args(self, event: str, args: Sequence[Any]) -> Frame:
        """Encode an event of any number of arguments; `bytes` inside become attachments.

        Raises:
            TypeError: for an argument that cannot be encoded, or an event name that is not a string.
            ValueError: for an event name that is reserved.
        """
        payload, attachments = encoding.encode([self.event_name(event), *args])
        return encode(PacketType.EVENT, self.namespace, payload.decode(), attachments=attachments)

    def with_position(self, frame: Frame, position: Position) -> Frame:
        """Add the position as the last argument. See `Dialect.with_position`."""
        text = frame.messages[0]
        assert isinstance(text, str)
        text = f'{text[:-1]},"{position}"]'  # no position has a character that JSON would escape
        return Frame(text) if len(frame.messages) == 1 else Frame(text, *frame.messages[1:])

    def needs_position(self, frame: Frame) -> bool:
        """Whether the event ends with a text. See `Dialect.needs_position`."""
        return ends_with_text(frame)

    def ack(self, ack_id: int, args: Sequence[Any]) -> Frame:
        """Make the acknowledgement of the client's event with this id.

        Raises:
            TypeError: for an argument that cannot be encoded.
        """
        payload, attachments = encoding.encode(list(args))
        return encode(PacketType.ACK, self.namespace, payload.decode(), attachments=attachments, ack_id=ack_id)

    def connect(self, data: Json) -> Frame:
        """Accept a CONNECT. `data` is an object with the client's `sid`, and a `pid` if recovery is possible."""
        return encode(PacketType.CONNECT, self.namespace, encoding.encode_json(data).decode())

    def connect_error(self, data: Json) -> Frame:
        """Refuse a CONNECT. `data` is an object with a `message`, and optionally `data` for programs."""
        return encode(PacketType.CONNECT_ERROR, self.namespace, encoding.encode_json(data).decode())

    def disconnect(self) -> Frame:
        """Disconnect the client from the namespace. The transport may stay open."""
        return encode(PacketType.DISCONNECT, self.namespace)
