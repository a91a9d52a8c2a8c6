"""Socket.IO v5 packets: one message (and its attachments) to a value, and back. No I/O.

What comes in is a client's and is taken apart strictly: it becomes one of four values, or it raises
`ProtocolError` and nothing else. Messages are those of Engine.IO, without its leading "4"; what
goes out is a `Frame`, which carries it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from asgi_realtime.errors import ProtocolError
from asgi_realtime.event_names import RESERVED
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Frame, Json

MAX_NESTING = 64
"""Deepest payload accepted, in lists and objects, so that code which recurses over one cannot fail."""


class PacketType(enum.IntEnum):
    """The packet types of revision 5. With attachments EVENT and ACK have types of their own, 3 higher."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class Connect(msgspec.Struct, frozen=True):
    """The client asks to enter a namespace. `auth` is an object, or None when it sent none."""

    namespace: str
    auth: Json = None


class Disconnect(msgspec.Struct, frozen=True):
    """The client leaves a namespace."""

    namespace: str


class Event(msgspec.Struct, frozen=True):
    """The client emits an event. With an `ack_id` it wants an answer."""

    namespace: str
    name: str
    args: list[Json]
    ack_id: int | None = None


class Ack(msgspec.Struct, frozen=True):
    """The client answers an event of ours."""

    namespace: str
    ack_id: int
    args: list[Json]


InboundPacket: TypeAlias = Connect | Disconnect | Event | Ack


class PartialPacket:
    """An event or ack some of whose attachments have not arrived yet. They follow it in order."""

    __slots__ = ("_arrived", "_packet", "_places", "_room")

    def __init__(self, packet: Event | Ack, places: list[tuple[Any, Any]], room: int) -> None:
        """`room` is what is left for attachments, in bytes: a packet is one message to its receiver."""
        self._packet = packet
        self._places = places
        self._arrived = 0
        self._room = room

    def add(self, attachment: bytes) -> Event | Ack | None:
        """Put the next attachment into its place. Returns the packet once it is whole.

        Raises:
            ProtocolError: if the packet, with its attachments, is over `Limits.message_bytes`.
        """
        self._room -= len(attachment)
        if self._room < 0:
            raise ProtocolError("a packet over the limit with its attachments")
        container, key = self._places[self._arrived]
        container[key] = attachment
        self._arrived += 1
        return self._packet if self._arrived == len(self._places) else None


# <type>[<attachments>-][<namespace>,][<ack id>]<payload>; a namespace may end the packet. JavaScript
# counts to 2**53, which has 16 digits: a longer ack id runs into the payload and fails there.
_HEADER = re.compile(r"([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]*),?)?([0-9]{0,16})")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
_decode_json = msgspec.json.Decoder().decode


def decode(text: str, limits: Limits) -> InboundPacket | PartialPacket:
    """Decode one text message of a client.

    Raises:
        ProtocolError: for everything that is not a packet a client may send, or is over a limit.
    """
    if text.startswith("2["):  # what most of them are
        return _decode_event("/", "", text[1:], limits)
    header = _HEADER.match(text)
    if header is None:
        raise ProtocolError("unknown packet type")
    kind, count, namespace, ack_id = header.groups()
    namespace = "/" if namespace is None else _check_namespace(namespace, limits)
    body = text[header.end() :]
    if kind == "2" or kind == "5":
        packet: Event | Ack = _decode_event(namespace, ack_id, body, limits)
    elif kind == "3" or kind == "6":
        packet = _decode_ack(namespace, ack_id, body)
    elif count is not None or ack_id:
        raise ProtocolError("an attachment count or ack id where none belongs")
    elif kind == "0":
        return _decode_connect(namespace, body, limits)
    elif kind == "1" and not body:
        return Disconnect(namespace)
    else:
        raise ProtocolError("a DISCONNECT with a payload" if kind == "1" else "a CONNECT_ERROR from a client")

    if (count is not None) is not (kind > "3"):
        raise ProtocolError("an attachment count on a packet without attachments, or the reverse")
    if count is None:
        return packet
    if int(count) > limits.attachments:
        raise ProtocolError("too many attachments")
    places = _find_places(packet.args, int(count))
    return PartialPacket(packet, places, limits.message_bytes - len(text)) if places else packet


def _check_namespace(namespace: str, limits: Limits) -> str:
    # Old clients put the query of their URL here ("/admin?token=x"): it names the same namespace.
    namespace = namespace.partition("?")[0]
    if len(namespace.encode("utf-8", "replace")) > limits.event_name_bytes or not namespace.isprintable():
        raise ProtocolError("a namespace that is too long or has control characters")
    return namespace


def _decode_connect(namespace: str, body: str, limits: Limits) -> Connect:
    if not body:
        return Connect(namespace)
    if len(body) > limits.handshake_bytes or len(body.encode("utf-8", "replace")) > limits.handshake_bytes:
        raise ProtocolError("a CONNECT payload over the limit")
    auth = _decode_payload(body)
    if type(auth) is not dict:
        raise ProtocolError("a CONNECT payload that is not an object")
    return Connect(namespace, auth)


def _decode_event(namespace: str, ack_id: str, body: str, limits: Limits) -> Event:
    args = _decode_payload(body)
    if type(args) is not list or not args:
        raise ProtocolError("an EVENT payload that is not an array with a name")
    name = args.pop(0)
    if type(name) is not str or name in RESERVED:
        raise ProtocolError("an event name that is reserved or not a string")
    if len(name) > limits.event_name_bytes or (not name.isascii() and len(name.encode()) > limits.event_name_bytes):
        raise ProtocolError("an event name over the limit")
    return Event(namespace, name, args, int(ack_id) if ack_id else None)


def _decode_ack(namespace: str, ack_id: str, body: str) -> Ack:
    args = _decode_payload(body)
    if type(args) is not list:
        raise ProtocolError("an ACK payload that is not an array")
    if not ack_id:
        raise ProtocolError("an ACK without an id")
    return Ack(namespace, int(ack_id), args)


def _decode_payload(body: str) -> Json:
    try:
        try:
            payload = _decode_json(body)
        except msgspec.DecodeError:
            # A JavaScript string cut in the middle of an emoji is sent as half a surrogate pair, which
            # is no text. Whoever typed it did nothing wrong: the half becomes U+FFFD.
            repaired = _ESCAPE.sub(_repair_escape, body)
            if repaired == body:
                raise
            payload = _decode_json(repaired)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ProtocolError("a payload that is not JSON") from None
    except RecursionError:
        raise ProtocolError("a payload nested too deeply") from None
    # The length, or brackets that are counted, rule deep nesting out for nearly every packet.
    if len(body) > 2 * MAX_NESTING and body.count("[") + body.count("{") > MAX_NESTING and _is_too_deep(payload):
        raise ProtocolError("a payload nested too deeply")
    return payload


def _repair_escape(escape: re.Match[str]) -> str:
    lone = escape.end() - escape.start() == len("\\ud800")
    return "\\ufffd" if lone else escape[0]


def _is_too_deep(payload: Json) -> bool:
    level = [payload]
    for _ in range(MAX_NESTING):
        inner: list[Json] = []
        for container in level:
            values = container.values() if type(container) is dict else container
            inner.extend(value for value in values if type(value) in (dict, list))
        if not inner:
            return False
        level = inner
    return True


def _find_places(args: list[Json], count: int) -> list[tuple[Any, Any]]:
    """The (container, key) each attachment belongs to, in the order in which attachments arrive.

    Stricter than Node, which takes one attachment for several places, or for none: no client sends that.
    """
    places: dict[int, tuple[Any, Any]] = {}
    containers: list[Any] = [args]
    while containers:
        container = containers.pop()
        for key, value in container.items() if type(container) is dict else enumerate(container):
            if type(value) is dict and value.get("_placeholder") is True:
                number = value.get("num")
                if type(number) is not int or not 0 <= number < count or number in places:
                    raise ProtocolError("a placeholder for no attachment, or for one placed already")
                places[number] = (container, key)
            elif type(value) is dict or type(value) is list:
                containers.append(value)
    if len(places) != count:
        raise ProtocolError("an attachment without a placeholder")
    return [places[number] for number in range(count)]


def encode(
    kind: PacketType,
    namespace: str,
    payload: str = "",
    *,
    attachments: Sequence[bytes] = (),
    ack_id: int | None = None,
) -> Frame:
    """Make the frame of one packet. `payload` is JSON in which the attachments have their placeholders."""
    address = "" if namespace == "/" else namespace + ","
    number = "" if ack_id is None else str(ack_id)
    if attachments:
        return Frame(f"4{kind + 3}{len(attachments)}-{address}{number}{payload}", *attachments)
    return Frame(f"4{int(kind)}{address}{number}{payload}")
