"""What python-socketio's client managers publish: read from JSON, and carried out for the clients of this process.

Every server of an app receives each message, and each carries it out for its own clients, as in python-socketio.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from asgi_realtime.errors import PayloadTooLarge
from asgi_realtime.payloads.encoding import encode_json
from asgi_realtime.socketio.namespace_gateway import NamespaceGateway
from asgi_realtime.socketio.participants import Participants
from asgi_realtime.values.ids import id_text
from asgi_realtime.values.json import Json

PICKLED = (
    "it is pickled, and loading it could run any code; python-socketio publishes JSON from 5.14 on: "
    "upgrade the process that emits"
)


class Refused(Exception):
    """A message that is not carried out. The text says why, without its content."""


class PublishedMessage(msgspec.Struct, frozen=True):
    """One message."""

    method: str
    namespace: str | None = None
    event: str | None = None
    data: Any = None
    binary: bool = False
    room: Any = None
    skip_sid: Any = None
    sid: Any = None
    host_id: str | None = None
    """The server that has published it."""
    callback: tuple[Any, Any, int] | None = None
    """What that server calls an acknowledgement by: the room, the namespace and a number."""


_decoder = msgspec.json.Decoder(PublishedMessage)


def decode(payload: bytes) -> PublishedMessage:
    """The message of these bytes. They are never unpickled.

    Raises:
        Refused: they are no message.
    """
    if payload[:1] == b"\x80":
        raise Refused(PICKLED)
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"it is no JSON message of python-socketio ({type(error).__name__})") from None


def _callback(message: PublishedMessage, answer: Callable[[bytes], None]) -> Callable[..., None] | None:
    """What publishes each client's acknowledgement for the server that has asked for it. None: it has not."""
    if message.callback is None or message.host_id is None:
        return None
    room, namespace, number = message.callback
    asked = {"method": "callback", "host_id": message.host_id, "sid": room, "namespace": namespace, "id": number}
    return lambda *values: answer(encode_json({**asked, "args": values}))


async def carry_out(
    message: PublishedMessage,
    gateway_for: Callable[[str], NamespaceGateway | None],
    answer: Callable[[bytes], None],
) -> None:
    """Carry a message out for the clients of this process. `answer` publishes a message on the same channel.

    Raises:
        Refused: a field has a wrong type, or the event cannot be sent.
    """
    gateway = gateway_for(message.namespace or "/")
    if gateway is None:
        return  # such a namespace has no clients here
    participants = gateway.participants
    try:
        match message.method:
            case "emit":
                args = arguments_of(message)
                await participants.emit(
                    message.event or "",
                    args,
                    rooms=_rooms(message.room),
                    skipped=_names(message.skip_sid),
                    callback=_callback(message, answer),
                    here=True,
                )
            case "close_room":
                room = id_text(message.room, "room")
                for connection in participants.in_room(room):
                    await participants.leave_room(connection, room)
            case "enter_room" | "leave_room" | "disconnect":
                await _move(message, participants)
            case _:
                pass  # acknowledgements, which are for the process that asked for them
    except (TypeError, ValueError, binascii.Error, PayloadTooLarge) as error:
        raise Refused(f"{message.method}: {error}") from None


async def _move(message: PublishedMessage, participants: Participants) -> None:
    connection = participants.connected(id_text(message.sid, "sid"))
    if connection is None:
        return
    if message.method == "disconnect":
        await participants.disconnect(connection)
    elif message.method == "enter_room":
        await participants.enter_room(connection, id_text(message.room, "room"))
    else:
        await participants.leave_room(connection, id_text(message.room, "room"))


def arguments_of(message: PublishedMessage) -> list[Any]:
    """The arguments of an event. A single None means that there is none, as in `emit`.

    Raises:
        ValueError: for binary data of another form.
    """
    data = message.data
    if message.binary:
        if not isinstance(data, list) or not all(isinstance(each, str) for each in data[1:]):
            raise ValueError("binary data are a list of JSON and base64 texts")
        data = _with_attachments(data[0], [base64.b64decode(each, validate=True) for each in data[1:]])
    args = data if isinstance(data, list) else [data]
    return [] if args == [None] else args


def _with_attachments(value: Json, attachments: Sequence[bytes]) -> Json:
    if isinstance(value, list):
        return [_with_attachments(each, attachments) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is True:
        number = value.get("num")
        if not isinstance(number, int) or not 0 <= number < len(attachments):
            raise ValueError("a placeholder has no attachment")
        return attachments[number]
    return {key: _with_attachments(each, attachments) for key, each in value.items()}


def _names(value: object) -> list[str]:
    if value is None:
        return []
    return [id_text(each, "name") for each in (value if isinstance(value, list) else [value])]


def _rooms(value: object) -> list[str] | None:
    return None if value is None else _names(value)
