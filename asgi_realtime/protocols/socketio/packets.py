"""Decodes and encodes Socket.IO v5 packets: a message and its attachments. No I/O.

Packets of clients are decoded strictly: the result is one of four values, or `ProtocolError` is raised. Inbound
messages are Engine.IO messages without the leading "4". Outbound packets are frames, with the "4".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_text import NOT_JSON, SHORT, JSONReader
from asgi_realtime.values.event_names import RESERVED
from asgi_realtime.values.gateway_names import is_namespace
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import is_longer


class PacketType(enum.IntEnum):
    """The packet types of revision 5. The types of EVENT and ACK with attachments are higher by 3."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class Connect(msgspec.Struct, frozen=True):
    """The client connects to a namespace. `auth` is an object, or None if the client sent none."""

    namespace: str
    auth: Json = None


class Disconnect(msgspec.Struct, frozen=True):
    """The client leaves a namespace."""

    namespace: str


class Event(msgspec.Struct, frozen=True):
    """The client emits an event. If there is an `ack_id`, it expects an acknowledgement."""

    namespace: str
    name: str
    args: list[Json]
    ack_id: int | None = None


class Ack(msgspec.Struct, frozen=True):
    """The client acknowledges an event of the server."""

    namespace: str
    ack_id: int
    args: list[Json]


InboundPacket: TypeAlias = Connect | Disconnect | Event | Ack


class PartialPacket:
    """An event or ack that still lacks attachments. They arrive directly after it, in order."""

    __slots__ = ("_packet", "_places", "_room", "missing")

    def __init__(self, packet: Event | Ack | None, places: list[tuple[Any, Any]], room: int) -> None:
        """`room` is the number of bytes that the attachments may have: they count towards `Limits.message_bytes`."""
        self._packet = packet
        self._places = places
        self._room = room
        self.missing = len(places)
        """How many attachments have not arrived."""

    def add(self, attachment: bytes) -> Event | Ack | None:
        """Put the next attachment into its place. Returns the packet if it is complete and not ignored, else None.

        Raises:
            ProtocolError: if the packet, with its attachments, is over `Limits.message_bytes`.
        """
        self._room -= len(attachment)
        if self._room < 0:
            raise ProtocolError("a packet over the limit with its attachments")
        container, key = self._places[-self.missing]
        container[key] = attachment
        self.missing -= 1
        return None if self.missing else self._packet


class Header(msgspec.Struct, frozen=True, gc=False):
    """The type and namespace of a packet. They are enough to refuse it before its payload is decoded."""

    kind: str
    namespace: str
    attachments: int | None
    """None: packets of this type have no attachments."""
    ack_id: int | None
    start: int
    """Where the payload begins."""


# <type>[<attachments>-][<namespace>,][<ack id>]<payload>. The packet may end after the namespace. JavaScript
# counts to 2**53, which has 16 digits. The rest of a longer ack id is decoded as payload, and fails.
_HEADER = re.compile(r"([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]*),?)?([0-9]{0,16})")
_payload = JSONReader()
_CONTAINERS = frozenset({dict, list})


def read_header(text: str, limits: Limits) -> Header:
    """Decode the part of a text message before its payload.

    Raises:
        ProtocolError: if a client may not send such a packet, or it exceeds a limit.
    """
    found = _HEADER.match(text)
    if found is None:
        raise ProtocolError("unknown packet type")
    kind, count, namespace, ack_id = found.groups()
    if (kind == "0" or kind == "1" or kind == "4") and (count is not None or ack_id):
        raise ProtocolError("an attachment count or ack id where none belongs")
    if kind == "4":
        raise ProtocolError("a CONNECT_ERROR from a client")
    if (count is not None) is not (kind > "3"):
        raise ProtocolError("an attachment count on a packet without attachments, or the reverse")
    attachments = None if count is None else int(count)
    if attachments is not None and attachments > limits.attachments:
        raise ProtocolError("too many attachments")
    if (kind == "3" or kind == "6") and not ack_id:
        raise ProtocolError("an ACK without an id")
    namespace = "/" if namespace is None else _check_namespace(namespace, limits)
    return Header(kind, namespace, attachments, int(ack_id) if ack_id else None, found.end())


def decode(text: str, header: Header, limits: Limits) -> InboundPacket | PartialPacket:
    """Decode one text message of a client, whose header was decoded before.

    Raises:
        ProtocolError: if a client may not send such a packet, or it exceeds a limit.
    """
    kind, namespace, count = header.kind, header.namespace, header.attachments
    body = text[header.start :]
    if kind == "2" or kind == "5":
        packet: Event | Ack = decode_event(namespace, header.ack_id, body, limits)
    elif kind == "3" or kind == "6":
        packet = _decode_ack(namespace, header.ack_id, body, limits)
    elif kind == "0":
        return _decode_connect(namespace, body, limits)
    elif body:
        raise ProtocolError("a DISCONNECT with a payload")
    else:
        return Disconnect(namespace)
    if count is None:
        return packet
    places = _find_places(packet.args, count)
    return PartialPacket(packet, places, limits.message_bytes - len(text)) if places else packet


def ignore(text: str, header: Header, limits: Limits) -> PartialPacket | None:
    """A `PartialPacket` that receives the attachments of an ignored packet. None: it has no attachments."""
    if not header.attachments:
        return None
    places: list[tuple[Any, Any]] = [({}, number) for number in range(header.attachments)]
    return PartialPacket(None, places, limits.message_bytes - len(text))


def _check_namespace(namespace: str, limits: Limits) -> str:
    # Old clients append the query of their URL ("/admin?token=x"). It is not part of the name.
    namespace = namespace.partition("?")[0]
    if is_longer(namespace, limits.event_name_bytes) or not is_namespace(namespace):
        raise ProtocolError("a namespace that is too long or has control characters")
    return namespace


def _decode_connect(namespace: str, body: str, limits: Limits) -> Connect:
    if not body:
        return Connect(namespace)
    if is_longer(body, limits.handshake_bytes):
        raise ProtocolError("a CONNECT payload over the limit")
    auth = _payload.read(body, limits)
    if type(auth) is not dict:
        raise ProtocolError("a CONNECT payload that is not an object")
    return Connect(namespace, auth)


def decode_event(namespace: str, ack_id: int | None, body: str, limits: Limits) -> Event:
    """Decode the payload of an EVENT. It may contain placeholders for attachments.

    Raises:
        ProtocolError: in the same cases as `decode`.
    """
    try:
        args = _payload.decode(body) if len(body) <= SHORT else _payload.read(body, limits)
    except NOT_JSON:
        args = _payload.read(body, limits)
    if type(args) is not list or not args:
        raise ProtocolError("an EVENT payload that is not an array with a name")
    name = args.pop(0)
    if type(name) is not str or name in RESERVED:
        raise ProtocolError("an event name that is reserved or not a string")
    if 4 * len(name) > limits.event_name_bytes and is_longer(name, limits.event_name_bytes):
        raise ProtocolError("an event name over the limit")
    return Event(namespace, name, args, ack_id)


def _decode_ack(namespace: str, ack_id: int | None, body: str, limits: Limits) -> Ack:
    args = _payload.read(body, limits)
    if type(args) is not list:
        raise ProtocolError("an ACK payload that is not an array")
    assert ack_id is not None  # `read_header` refuses an ACK without an id
    return Ack(namespace, ack_id, args)


def _find_places(args: list[Json], count: int) -> list[tuple[Any, Any]]:
    """The places (container, key) of the attachments, in the order in which attachments arrive.

    Node also accepts an attachment for several places or for none. No client sends that, so it is refused here.
    """
    places: dict[int, tuple[Any, Any]] = {}
    containers: list[Any] = [args]
    while containers:
        container = containers.pop()
        is_object = type(container) is dict
        if _CONTAINERS.isdisjoint(map(type, container.values() if is_object else container)):
            continue  # the usual case; one C call, however many values there are
        for key, value in container.items() if is_object else enumerate(container):
            kind = type(value)
            if kind is not dict and kind is not list:
                continue
            if kind is dict and value.get("_placeholder") is True:
                number = value.get("num")
                if type(number) is not int or not 0 <= number < count or number in places:
                    raise ProtocolError("a placeholder for no attachment, or for one placed already")
                places[number] = (container, key)
            else:
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
    """Make the frame of one packet. `payload` is JSON with placeholders for the attachments."""
    address = "" if namespace == "/" else namespace + ","
    number = "" if ack_id is None else str(ack_id)
    if attachments:
        return Frame(f"4{kind + 3}{len(attachments)}-{address}{number}{payload}", *attachments)
    return Frame(f"4{int(kind)}{address}{number}{payload}")
