"""Engine.IO v4 packets, and the payloads that carry several of them over HTTP long-polling.

A packet is handled in the form it has on a WebSocket: text as `str`, its first character the
type; binary as `bytes`, which is always a message.
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
    """Yield the packets of a POST, one at a time, so that none is decoded before those in front were handled.

    A packet's type is not looked at: that depends on the state of the session.

    Raises:
        ProtocolError: at the first packet that is empty or not base64, or for a body that is not UTF-8.
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
    """Make a payload of packets in their polling form (`Frame.polling`)."""
    return _SEPARATOR.join(packets)
