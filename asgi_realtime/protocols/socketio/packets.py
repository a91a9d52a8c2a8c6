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
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_text import NOT_JSON, SHORT, JSONReader
from asgi_realtime.values.event_names import RESERVED
from asgi_realtime.values.gateway_names import is_namespace
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import is_longer


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

    __slots__ = ("_packet", "_places", "_room", "missing")

    def __init__(self, packet: Event | Ack | None, places: list[tuple[Any, Any]], room: int) -> None:
        """`room` is what is left for attachments, in bytes: a packet is one message to its receiver."""
        self._packet = packet
        self._places = places
        self._room = room
        self.missing = len(places)
        """Attachments that have yet to come."""

    def add(self, attachment: bytes) -> Event | Ack | None:
        """Put the next attachment into its place. Returns the packet once it is whole; None too for one to ignore.

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
    """What a packet is, and for which namespace: enough to refuse it before its payload is looked at."""

    kind: str
    namespace: str
    attachments: int | None
    """None: the packet's type has none."""
    ack_id: int | None
    start: int
    """Where the payload begins."""


# <type>[<attachments>-][<namespace>,][<ack id>]<payload>; a namespace may end the packet. JavaScript
# counts to 2**53, which has 16 digits: a longer ack id runs into the payload and fails there.
_HEADER = re.compile(r"([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]*),?)?([0-9]{0,16})")
_payload = JSONReader()
_CONTAINERS = frozenset({dict, list})


def read_header(text: str, limits: Limits) -> Header:
    """Read the part of a text message in front of its payload.

    Raises:
        ProtocolError: if it is none of a packet that a client may send, or is over a limit.
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
    """Decode one text message of a client, whose header has been read.

    Raises:
        ProtocolError: for everything that is not a packet a client may send, or is over a limit.
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
    """What stands for a packet that is not to be decoded, while its attachments come. None: it has none."""
    if not header.attachments:
        return None
    places: list[tuple[Any, Any]] = [({}, number) for number in range(header.attachments)]
    return PartialPacket(None, places, limits.message_bytes - len(text))


def _check_namespace(namespace: str, limits: Limits) -> str:
    # Old clients put the query of their URL here ("/admin?token=x"). It is not part of the name.
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
    """Decode the payload of an EVENT without attachments, or with places for them.

    Raises:
        ProtocolError: as `decode`.
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
    assert ack_id is not None  # or `read_header` would have refused it
    return Ack(namespace, ack_id, args)


def _find_places(args: list[Json], count: int) -> list[tuple[Any, Any]]:
    """The (container, key) each attachment belongs to, in the order in which attachments arrive.

    Stricter than Node, which takes one attachment for several places, or for none: no client sends that.
    """
    places: dict[int, tuple[Any, Any]] = {}
    containers: list[Any] = [args]
    while containers:
        container = containers.pop()
        is_object = type(container) is dict
        if _CONTAINERS.isdisjoint(map(type, container.values() if is_object else container)):
            continue  # the usual case, and cheap to see however many values there are
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
    """Make the frame of one packet. `payload` is JSON in which the attachments have their placeholders."""
    address = "" if namespace == "/" else namespace + ","
    number = "" if ack_id is None else str(ack_id)
    if attachments:
        return Frame(f"4{kind + 3}{len(attachments)}-{address}{number}{payload}", *attachments)
    return Frame(f"4{int(kind)}{address}{number}{payload}")
