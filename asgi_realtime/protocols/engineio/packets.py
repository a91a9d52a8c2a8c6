"""Engine.IO v4 packets, and the payloads that carry several of them over HTTP long-polling.

Packets have the form that they have on a WebSocket. A text packet is a `str` whose first character is its type. A
binary packet is `bytes`, and is always a message.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator

from asgi_realtime.errors import ProtocolError

OPEN = "0"
CLOSE = "1"
PING = "2"
PONG = "3"
MESSAGE = "4"
UPGRADE = "5"
NOOP = "6"

PROBE_PING = "2probe"
PROBE_PONG = "3probe"

_SEPARATOR = "\x1e"
_BINARY = "b"


def decode_payload(body: bytes | bytearray) -> Iterator[str | bytes]:
    """Yield the packets of a POST, one at a time. A packet is decoded after the earlier ones were handled.

    The type of a packet is not checked, because the allowed types depend on the state of the session.

    Raises:
        ProtocolError: at the first packet that is empty or not valid base64, or if the body is not UTF-8.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("the payload is not UTF-8") from None
    start = 0
    while (end := text.find(_SEPARATOR, start)) != -1:
        yield _decode(text[start:end])
        start = end + 1
    yield _decode(text[start:])


def _decode(packet: str) -> str | bytes:
    if not packet:
        raise ProtocolError("an empty packet")
    if packet[0] != _BINARY:
        return packet
    try:
        return binascii.a2b_base64(packet[1:], strict_mode=True)
    except ValueError:
        raise ProtocolError("a binary packet that is not base64") from None


def join_payload(packets: Iterable[str]) -> str:
    """Join packets in their polling form (`Frame.polling`) to a payload."""
    return _SEPARATOR.join(packets)
