"""Engine.IO v4 packets, and the payloads that carry several of them over HTTP long-polling.

Packets have the form that they have on a WebSocket. A text packet is a `str` whose first character is its type. A
binary packet is `bytes`, and is always a message.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable

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

_SEPARATOR = b"\x1e"
_BINARY = ord("b")


class Payload:
    """The packets of a POST, one at a time. A packet is decoded after the earlier ones were handled.

    The type of a packet is not checked, because the allowed types depend on the state of the session.

    Raises:
        ProtocolError: the body is not UTF-8.
    """

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = bytes(body)
        self._at = 0  # the start of the next packet
        try:
            if not self._body.isascii():
                self._body.decode()
        except UnicodeDecodeError:
            raise ProtocolError("the payload is not UTF-8") from None

    def next_text(self) -> bytes | None:
        """Return the next packet without decoding it. None: it is empty or binary, or there is none."""
        packet = self._next()
        if packet is None or not packet or packet[0] == _BINARY:
            return None
        self._at += len(packet) + 1
        return packet

    def next(self) -> str | bytes | None:
        """Return the next packet. None: there is none.

        Raises:
            ProtocolError: it is empty or not valid base64.
        """
        packet = self._next()
        if packet is None:
            return None
        self._at += len(packet) + 1
        return _decode(packet)

    def _next(self) -> bytes | None:
        body, at = self._body, self._at
        if at > len(body):
            return None
        end = body.find(_SEPARATOR, at)
        return body[at:] if end < 0 else body[at:end]


def _decode(packet: bytes) -> str | bytes:
    if not packet:
        raise ProtocolError("an empty packet")
    if packet[0] != _BINARY:
        return packet.decode()
    try:
        return binascii.a2b_base64(packet[1:], strict_mode=True)
    except ValueError:
        raise ProtocolError("a binary packet that is not base64") from None


def join_payload(packets: Iterable[str]) -> str:
    """Join packets in their polling form (`Frame.polling`) to a payload."""
    return "\x1e".join(packets)
