"""The HTTP request that opens a WebSocket, and the responses to it (RFC 6455, section 4.2)."""

from __future__ import annotations

import binascii
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names and values. The names of a parsed request are in lower case."""

MAX_HEAD_BYTES: Final = 65_536
"""Most bytes of request line and headers. More: refused with 431."""
MAX_HEADERS: Final = 128
"""Most headers of a request. More: refused with 431."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/(\d\.\d)")
_NAME = re.compile(_TOKEN)
_NAME_BYTES = bytes(byte for byte in range(256) if _NAME.fullmatch(bytes([byte])))
_VALUE_BYTES = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_NAMES_OF_UPGRADE = frozenset(
    name.encode()
    for name in """
        connection host sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version upgrade
    """.split()
)
_UPGRADE = [b"websocket"], [b"Upgrade"]
"""The values of `Upgrade` and `Connection` that most clients send."""


_ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "


class HandshakeError(Exception):
    """The request does not open a WebSocket. `status` is the HTTP status to answer. The text may be sent."""

    def __init__(self, status: HTTPStatus, reason: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


@dataclasses.dataclass(frozen=True, slots=True)
class Upgrade:
    """A valid request for a WebSocket."""

    target: bytes
    """Path and query, as in the request line."""
    headers: list[tuple[bytes, bytes]]
    accept: bytes
    """The value of the response header `Sec-WebSocket-Accept`."""
    subprotocols: list[str]
    """The subprotocols that the client offers, in its order of preference."""
    extensions: Sequence[bytes]
    """The values of `Sec-WebSocket-Extensions`: the extensions that the client offers."""


def parse(head: bytes) -> Upgrade:
    """Parse a request, from its first line to the headers' end. The empty line after them may be missing.

    Raises:
        HandshakeError: it is not a valid request for a WebSocket of version 13.
    """
    if len(head) > MAX_HEAD_BYTES:
        raise HandshakeError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large")
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if len(lines) - 1 > MAX_HEADERS:
        raise HandshakeError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None or line[1] != b"GET" or line[3] < b"1.1":
        raise _bad_request("a WebSocket is opened by GET and HTTP/1.1")
    headers: list[tuple[bytes, bytes]] = []
    found: _Found = {}
    names, values = [], []
    for text in lines[1:]:
        name, colon, value = text.partition(b":")
        if not colon or not name:
            raise _bad_request("a malformed header")
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        names.append(name)
        values.append(value)
        if name in _NAMES_OF_UPGRADE:
            found.setdefault(name, []).append(value)
    # The bytes of all headers are checked at once: a pattern for each header takes several times as long.
    if b"".join(names).translate(None, _NAME_BYTES) or b"".join(values).translate(None, _VALUE_BYTES):
        raise _bad_request("a malformed header")
    extensions = found.get(b"sec-websocket-extensions", ())
    return Upgrade(line[2], headers, _accept(found), _subprotocols(found), extensions)


def upgrade_of(target: bytes, headers: list[tuple[bytes, bytes]], subprotocols: list[str]) -> Upgrade:
    """Return the request for a WebSocket that a server has read and found valid.

    Raises:
        HandshakeError: it has no key.
    """
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    extensions = [value for name, value in headers if name == b"sec-websocket-extensions"]
    return Upgrade(target, headers, _accept_value(keys), subprotocols, extensions)


_Found: TypeAlias = dict[bytes, list[bytes]]
"""The headers that open a WebSocket, with their values in order."""


def _accept(found: _Found) -> bytes:
    upgrade, connection = found.get(b"upgrade", []), found.get(b"connection", [])
    usual = (upgrade, connection) == _UPGRADE
    if not usual and not (b"websocket" in _tokens(upgrade) and b"upgrade" in _tokens(connection)):
        raise _upgrade_required("this is a WebSocket: send Connection: Upgrade and Upgrade: websocket")
    if found.get(b"sec-websocket-version") != [b"13"]:
        raise _upgrade_required("the version of WebSocket spoken here is 13")
    if len(found.get(b"host", ())) != 1:
        raise _bad_request("one Host header is needed")
    return _accept_value(found.get(b"sec-websocket-key", ()))


def _accept_value(keys: Sequence[bytes]) -> bytes:
    if len(keys) != 1 or not _is_key(keys[0]):
        raise _bad_request("one Sec-WebSocket-Key of 16 bytes is needed")
    digest = hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False


def _subprotocols(found: _Found) -> list[str]:
    names: list[str] = []
    for value in found.get(b"sec-websocket-protocol", ()):
        for item in value.split(b","):
            if name := item.strip(b" \t"):
                if not _NAME.fullmatch(name):
                    raise _bad_request("a malformed Sec-WebSocket-Protocol")
                names.append(name.decode("ascii"))
    return names


def _tokens(values: Iterable[bytes]) -> set[bytes]:
    return {token.strip(b" \t").lower() for value in values for token in value.split(b",")}


def _bad_request(reason: str) -> HandshakeError:
    return HandshakeError(HTTPStatus.BAD_REQUEST, reason)


def _upgrade_required(reason: str) -> HandshakeError:
    headers = [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
    return HandshakeError(HTTPStatus.UPGRADE_REQUIRED, reason, headers)


def accepted(
    upgrade: Upgrade,
    headers: Iterable[tuple[bytes, bytes]] = (),
    subprotocol: str | None = None,
    extensions: bytes | None = None,
) -> bytes:
    """The response that opens the WebSocket.

    Raises:
        ValueError: for a header or subprotocol with line breaks or other invalid characters.
    """
    lines = [_ACCEPTED + upgrade.accept]
    if subprotocol:
        lines.append(_line(b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    if extensions:
        lines.append(_line(b"sec-websocket-extensions", extensions))
    lines += [_line(name, value) for name, value in headers]
    return b"\r\n".join((*lines, b"", b""))


def response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    """An HTTP response, or its beginning.

    Raises:
        ValueError: for a header with line breaks or other invalid characters.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}".encode("ascii")]
    lines += [_line(name, value) for name, value in headers]
    return b"\r\n".join((*lines, b"", body))


def _line(name: bytes, value: bytes) -> bytes:
    if not name or name.translate(None, _NAME_BYTES) or b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError(f"a header that cannot be sent: {name!r}")
    return name + b": " + value
