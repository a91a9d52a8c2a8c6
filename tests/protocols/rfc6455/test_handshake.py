from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.protocols.rfc6455 import handshake
from asgi_realtime.protocols.rfc6455.handshake import HandshakeError, parse

HEADERS = {
    "Host": "example.org",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET /chat?a=1 HTTP/1.1", extra: str = "", **changed: str | None) -> bytes:
    """A request; a keyword replaces a header, `_` for `-`, or leaves it out."""
    headers = dict(HEADERS)
    for name, value in changed.items():
        name = next(known for known in HEADERS if known.lower() == name.replace("_", "-").lower())
        del headers[name]
        if value is not None:
            headers[name] = value
    lines = [line, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode("latin-1")


def test_the_example_of_the_rfc_gets_the_accept_key_of_the_rfc() -> None:
    upgrade = parse(request())
    assert upgrade.accept == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert upgrade.target == b"/chat?a=1"
    assert upgrade.headers[0] == (b"host", b"example.org")
    assert upgrade.subprotocols == []


@pytest.mark.parametrize(
    "head",
    [
        request(connection="keep-alive, Upgrade"),
        request(connection="UPGRADE"),
        request(upgrade="WebSocket"),
        request(upgrade="h2c, websocket"),
        request(extra="X-Long: " + "x" * 10_000 + "\r\n"),
        request(extra="X-Empty:\r\nX-Latin: h\xe9\r\nX-Tab:\ta\tb \t\r\n"),
    ],
)
def test_a_valid_request_opens_a_websocket(head: bytes) -> None:
    assert parse(head).accept


def test_values_are_trimmed() -> None:
    assert (b"x-tab", b"a\tb") in parse(request(extra="X-Tab:\t a\tb \t\r\n")).headers


def test_subprotocols_are_returned_in_the_order_of_the_client() -> None:
    lines = "Sec-WebSocket-Protocol: v2.chat, v1.chat\r\nSec-WebSocket-Protocol:x\r\n"
    assert parse(request(extra=lines)).subprotocols == ["v2.chat", "v1.chat", "x"]


REFUSED = {
    "another method": (request("POST / HTTP/1.1"), 400),
    "an old HTTP": (request("GET / HTTP/1.0"), 400),
    "a space in the path": (request("GET /a b HTTP/1.1"), 400),
    "no request line": (b"\r\n\r\n", 400),
    "no host": (request(host=None), 400),
    "two hosts": (request(extra="Host: other\r\n"), 400),
    "no key": (request(sec_websocket_key=None), 400),
    "two keys": (request(extra="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
    "a short key": (request(sec_websocket_key="dGhlIHNhbXBsZQ=="), 400),
    "a key that is not base64": (request(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ=!"), 400),
    "a header without a colon": (request(extra="Broken\r\n"), 400),
    "a space before the colon": (request(extra="Broken : a\r\n"), 400),
    "a folded header": (request(extra="X-A: a\r\n b\r\n"), 400),
    "a NUL": (request(extra="X-A: a\x00\r\n"), 400),
    "a bare line feed": (request(extra="X-A: a\nX-B: b\r\n"), 400),
    "a malformed subprotocol": (request(extra="Sec-WebSocket-Protocol: a b\r\n"), 400),
    "no upgrade": (request(upgrade=None), 426),
    "another upgrade": (request(upgrade="h2c"), 426),
    "no connection": (request(connection="keep-alive"), 426),
    "no version": (request(sec_websocket_version=None), 426),
    "an old version": (request(sec_websocket_version="8"), 426),
    "headers too large": (request(extra="X-A: " + "x" * 66_000 + "\r\n"), 431),
    "too many headers": (request(extra="X-A: x\r\n" * 130), 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_request_is_refused_with_its_status(name: str) -> None:
    head, status = REFUSED[name]
    with pytest.raises(HandshakeError) as caught:
        parse(head)
    assert caught.value.status == status
    if status == HTTPStatus.UPGRADE_REQUIRED:
        assert (b"sec-websocket-version", b"13") in caught.value.headers


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_as_a_request(head: bytes) -> None:
    with pytest.raises(HandshakeError):
        parse(head)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 40))
def test_a_damaged_request_is_read_or_refused(damage: bytes, at: int, length: int) -> None:
    head = request()
    try:
        parse(head[:at] + damage + head[at + length :])
    except HandshakeError as error:
        assert error.status in (400, 426, 431)


def test_responses_are_written_as_http() -> None:
    upgrade = parse(request())
    assert handshake.accepted(upgrade, [(b"x-a", b"b")], "v1.chat") == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: v1.chat\r\nx-a: b\r\n\r\n"
    )
    assert handshake.response(403, [(b"a", b"b")], b"no") == b"HTTP/1.1 403 Forbidden\r\na: b\r\n\r\nno"
    assert handshake.response(599, []) == b"HTTP/1.1 599 \r\n\r\n"


@pytest.mark.parametrize("header", [(b"a", b"b\r\nc: d"), (b"a\n", b"b"), (b"a b", b"c"), (b"", b"")])
def test_an_answer_cannot_be_broken_by_a_header(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        handshake.response(200, [header])
    with pytest.raises(ValueError, match="cannot be sent"):
        handshake.accepted(parse(request()), [header])


def test_an_answer_cannot_be_broken_by_a_subprotocol() -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        handshake.accepted(parse(request()), subprotocol="a\r\nb: c")
