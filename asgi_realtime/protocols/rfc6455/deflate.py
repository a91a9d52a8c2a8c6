"""permessage-deflate (RFC 7692) without context takeover, so that one compressed message serves all clients."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from asgi_realtime.protocols.rfc6455.frames import encode, encode_compressed

COMPRESSED_FROM: Final = 1024
"""Messages of at least so many bytes are compressed. For smaller ones compression saves almost nothing."""
_AGREED: Final = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_LEVEL: Final = 1
"""zlib's level. Higher ones save a tenth more, but block the event loop for up to four times as long."""
_WINDOW_BITS: Final = 15
_TAIL: Final = b"\x00\x00\xff\xff"
"""The last bytes of each compressed message. They are not sent (section 7.2.1)."""


class DeflateError(Exception):
    """A client sent an invalid compressed message."""


def agree(offers: Iterable[bytes]) -> bytes | None:
    """The answer to a client's `Sec-WebSocket-Extensions`: it accepts the first usable offer. None: there is none.

    An offer with a smaller server window is not usable, because all clients get the same compressed bytes.
    """
    for offer in b",".join(offers).split(b","):
        name, *parameters = (part.strip(b" \t") for part in offer.split(b";"))
        if name.lower() == b"permessage-deflate":
            more = _more(parameters)
            if more is not None:
                return _AGREED + more
    return None


def _more(parameters: list[bytes]) -> bytes | None:
    """Further parameters of the answer to an offer. None: the offer is invalid or not usable."""
    found: dict[bytes, bytes | None] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition(b"=")
        name = name.rstrip(b" \t").lower()
        if name in found:
            return None
        found[name] = value.lstrip(b" \t").strip(b'"') if equals else None
    for name in (b"server_no_context_takeover", b"client_no_context_takeover"):
        if found.pop(name, None) is not None:
            return None
    # The client's window may have any size, because the decompressor here uses the largest.
    bits = found.pop(b"client_max_window_bits", None)
    if bits is not None and bits not in (b"8", b"9", *(b"%d" % number for number in range(10, 16))):
        return None
    wanted = b"server_max_window_bits" in found
    if wanted and found.pop(b"server_max_window_bits") != b"%d" % _WINDOW_BITS:
        return None
    if found:
        return None
    return b"; server_max_window_bits=%d" % _WINDOW_BITS if wanted else b""


def deflate(message: str | bytes) -> bytes:
    """Make the frame of a message for clients with compression. It is compressed if that makes it smaller.

    Raises:
        UnicodeEncodeError: in the same cases as `encode`.
    """
    data = message.encode() if isinstance(message, str) else message
    if len(data) < COMPRESSED_FROM:
        return encode(message)
    compressor = zlib.compressobj(_LEVEL, wbits=-_WINDOW_BITS)
    payload = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
    return encode(message) if len(payload) >= len(data) else encode_compressed(message, payload)


def inflate(payload: bytes, limit: int) -> bytes | None:
    """Decompress a payload. Returns None if the message has more than `limit` bytes; no more are decompressed.

    Raises:
        DeflateError: the payload is not valid.
    """
    decompressor = zlib.decompressobj(wbits=-_WINDOW_BITS)
    try:
        message = decompressor.decompress(payload + _TAIL, limit + 1)
    except zlib.error as error:
        raise DeflateError(str(error)) from None
    if len(message) > limit:
        return None
    # A message may end with a final block (section 7.2.3.4). More data after that is an error.
    if decompressor.eof and decompressor.unused_data not in (_TAIL, b"\x00" + _TAIL):
        raise DeflateError("data after the final block")
    return message
