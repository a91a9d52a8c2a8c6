"""The HTTP request that opens a WebSocket, and the responses to it (RFC 6455, section 4.2)."""

from __future__ import annotations

import base64
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
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_NAME = re.compile(_TOKEN)
_UNSAFE = re.compile(rb"[\x00\r\n]")


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

    @property
    def extensions(self) -> list[bytes]:
        """The values of `Sec-WebSocket-Extensions`: the extensions that the client offers."""
        return _values(self.headers, b"sec-websocket-extensions")


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
    for text in lines[1:]:
        header = _HEADER.fullmatch(text)
        if header is None:
            raise _bad_request("a malformed header")
        headers.append((header[1].lower(), header[2].rstrip(b" \t")))
    return Upgrade(line[2], headers, _accept(headers), _subprotocols(headers))


def _accept(headers: Headers) -> bytes:
    if b"websocket" not in _tokens(headers, b"upgrade") or b"upgrade" not in _tokens(headers, b"connection"):
        raise _upgrade_required("this is a WebSocket: send Connection: Upgrade and Upgrade: websocket")
    if _values(headers, b"sec-websocket-version") != [b"13"]:
        raise _upgrade_required("the version of WebSocket spoken here is 13")
    if len(_values(headers, b"host")) != 1:
        raise _bad_request("one Host header is needed")
    keys = _values(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise _bad_request("one Sec-WebSocket-Key of 16 bytes is needed")
    return base64.b64encode(hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _subprotocols(headers: Headers) -> list[str]:
    names: list[str] = []
    for value in _values(headers, b"sec-websocket-protocol"):
        for item in value.split(b","):
            if name := item.strip(b" \t"):
                if not _NAME.fullmatch(name):
                    raise _bad_request("a malformed Sec-WebSocket-Protocol")
                names.append(name.decode("ascii"))
    return names


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for other, value in headers if other == name]


def _tokens(headers: Headers, name: bytes) -> set[bytes]:
    return {token.strip(b" \t").lower() for value in _values(headers, name) for token in value.split(b",")}


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
    lines = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", upgrade.accept)]
    if subprotocol:
        lines.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    if extensions:
        lines.append((b"sec-websocket-extensions", extensions))
    return response(HTTPStatus.SWITCHING_PROTOCOLS, [*lines, *headers])


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
    for name, value in headers:
        if not _NAME.fullmatch(name) or _UNSAFE.search(value):
            raise ValueError(f"a header that cannot be sent: {name!r}")
        lines.append(name + b": " + value)
    return b"\r\n".join((*lines, b"", body))
