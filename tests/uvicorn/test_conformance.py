"""RFC 6455 against a real server, by the sections of Autobahn's fuzzing client.

Its sections, what they are about, and the cases here (each over ASGI, detached, on asyncio and on uvloop):

| section | about | cases |
|---|---|---|
| 1.1, 1.2 | text and binary of every size at which a header changes, whole and in pieces | `framing` |
| 2.1 to 2.11 | pings of every kind and size, and too large; in pieces; ten at once; unsolicited pongs | `pings` |
| 3.1 to 3.7 | each reserved bit, on each kind of frame, alone and after a valid message | `reserved_bits` |
| 4.1, 4.2 | each reserved opcode, of data and of control frames | `opcodes` |
| 5.1 to 5.20 | messages in fragments, with control frames between; misplaced fragments | `fragmentation` |
| 6.1 to 6.4 | valid text whole, in fragments, by the byte; invalid text refused before its last fragment | `utf8` |
| 6.5 to 6.11 | characters of every length, the first and the last of each | `utf8` |
| 6.12 to 6.19 | misplaced bytes; unfinished, impossible or overlong characters | `utf8` |
| 6.20 to 6.23 | surrogates alone and in pairs, noncharacters, the replacement character | `utf8` |
| 7.1 | data after a close, a close within a message | `closing` |
| 7.3, 7.5 | closes without a code, with half a code, with reasons of every size, with invalid text | `closing` |
| 7.7, 7.9, 7.13 | every valid code, and invalid ones | `closing` |
| 9.1 to 9.6 | messages of up to 16 MB, whole, in fragments, in pieces, and over the limit | `sizes` |
| 9.7, 9.8 | a thousand messages in one write, of each size | `sizes` |
| 10.1 | a message cut into frames by the sender's library | `automatic_fragmentation` |
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from asgi_realtime.outbound.frames_extension import EXTENSION, FrameTransport
from asgi_realtime.protocols.rfc6455 import encode
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, fragments, frame, text
from tests.support.protocol_server import ProtocolServer, protocol_server
from tests.support.raw_websocket import Frame, open_websocket

LIMIT = 20_000_000


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Echo:
    """Echoes every message through the frame transport."""

    def __init__(self, transport: FrameTransport) -> None:
        self.transport = transport

    def received(self, message: str | bytes) -> None:
        self.transport.write(encode(message))

    def websocket_closed(self, code: int, reason: str) -> None:
        pass


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo every message: through ASGI, or below `/detached` through the frame transport."""
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/detached":
        transport: FrameTransport = scope["extensions"][EXTENSION]
        transport.detach(Echo(transport))
        return
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


@pytest.fixture
async def server() -> AsyncIterator[ProtocolServer]:
    async with protocol_server(echo, protocol=WebSocketProtocol, ws_max_size=LIMIT, lifespan="off") as server:
        yield server


@dataclasses.dataclass
class Case:
    """The bytes that a client writes, in pieces of this size, and the expected frames until the end."""

    sent: bytes
    expected: Sequence[Frame]
    piece: int | None = None


NORMAL = (CLOSE, (1000).to_bytes(2))


def answered(sent: bytes, *expected: Frame, piece: int | None = None) -> Case:
    """The same, followed by a close of the client, which the server answers."""
    return Case(sent + close(1000), [*expected, NORMAL], piece)


def failed(sent: bytes, code: int, *expected: Frame, piece: int | None = None) -> Case:
    """The server closes with this code and any reason."""
    return Case(sent, [*expected, (CLOSE, code.to_bytes(2))], piece)


def framing() -> Iterator[Case]:
    for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536):
        for opcode, payload in ((TEXT, b"*" * size), (BINARY, b"\xfe" * size)):
            yield answered(frame(opcode, payload), (opcode, payload))
            yield answered(frame(opcode, payload), (opcode, payload), piece=997)


def pings() -> Iterator[Case]:
    for payload in (b"", b"Hello, world!", b"\x00\xff\xfe\xfd", b"\xfe" * 125):
        yield answered(frame(PING, payload), (PONG, payload))
        yield answered(frame(PING, payload), (PONG, payload), piece=1)
    yield failed(frame(PING, b"\xfe" * 126), 1002)
    yield answered(frame(PONG))
    yield answered(frame(PONG, b"unsolicited") + frame(PING, b"asked"), (PONG, b"asked"))
    many = [b"payload %d" % number for number in range(10)]
    yield answered(b"".join(frame(PING, payload) for payload in many), *((PONG, payload) for payload in many))
    yield answered(b"".join(frame(PING, payload) for payload in many), *((PONG, payload) for payload in many), piece=1)


def reserved_bits() -> Iterator[Case]:
    for bits in range(1, 8):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            yield failed(frame(opcode, reserved=bits), 1002)
        yield failed(text("a") + frame(TEXT, b"b", reserved=bits) + frame(PING), 1002, (TEXT, b"a"))
        yield failed(text("a") + frame(TEXT, b"b", reserved=bits), 1002, (TEXT, b"a"), piece=1)


def opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield failed(frame(opcode), 1002)
        yield failed(frame(opcode, b"payload"), 1002)
        yield failed(text("a") + frame(opcode, b"payload") + frame(PING), 1002, (TEXT, b"a"))
        yield failed(text("a") + frame(opcode) + frame(PING), 1002, (TEXT, b"a"), piece=1)


def fragmentation() -> Iterator[Case]:
    for control in (PING, PONG):
        yield failed(frame(control, b"a", final=False) + frame(CONTINUATION, b"b"), 1002)
    for piece in (None, 1):
        yield answered(fragments(TEXT, b"first", b"second"), (TEXT, b"firstsecond"), piece=piece)
        yield answered(fragments(BINARY, b"", b"", b"x", b""), (BINARY, b"x"), piece=piece)
        yield answered(fragments(TEXT, b"", b"", b""), (TEXT, b""), piece=piece)
        between = frame(TEXT, b"first", final=False) + frame(PING, b"ping") + frame(CONTINUATION, b"second")
        yield answered(between, (PONG, b"ping"), (TEXT, b"firstsecond"), piece=piece)
        for final in (True, False):
            yield failed(frame(CONTINUATION, b"nothing", final=final) + text("a"), 1002, piece=piece)
        after = fragments(TEXT, b"first", b"second") + frame(CONTINUATION, b"third", final=False)
        yield failed(after, 1002, (TEXT, b"firstsecond"), piece=piece)
        yield failed(frame(TEXT, b"first", final=False) + text("second"), 1002, piece=piece)
        five = b"".join(
            frame(CONTINUATION if number else TEXT, b"%d" % number, final=number == 4) + frame(PING, b"%d" % number)
            for number in range(5)
        )
        pongs = [(PONG, b"%d" % number) for number in range(5)]
        yield answered(five, *pongs[:4], (TEXT, b"01234"), pongs[4], piece=piece)


def utf8() -> Iterator[Case]:
    for valid in ("Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000"):
        yield from valid_text(valid.encode())
    noncharacters = [chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    for valid in ("\ufffd", *noncharacters, "\U00010000", "\U0010fffd", "日本語 😀" * 30):
        yield from valid_text(valid.encode())
    for invalid in (
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # a surrogate between valid characters
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",  # above U+10FFFF
        b"\x80", b"\xbf", b"\x80\xbf\x80", b"\xc0 \xc1 ", b"\xe0 ", b"\xf0 ", b"\xf8 ", b"\xfc ", b"\xfe", b"\xff",
        b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",  # unfinished
        b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xc1\xbf",  # overlong
        b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80",  # surrogates, and a pair
        b"\xf5\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf",
    ):  # fmt: skip
        yield failed(frame(TEXT, invalid), 1007)
        yield failed(fragments(TEXT, invalid[:1], invalid[1:]), 1007)
        yield failed(fragments(TEXT, *(bytes((byte,)) for byte in invalid)), 1007, piece=1)
    # Refused at the invalid fragment: the last one is never sent.
    yield failed(frame(TEXT, b"\xce\xba\xf4\x90", final=False), 1007)
    yield failed(frame(TEXT, b"\xce\xba\xf4", final=False) + frame(CONTINUATION, b"\x90", final=False), 1007)


def valid_text(payload: bytes) -> Iterator[Case]:
    yield answered(frame(TEXT, payload), (TEXT, payload))
    yield answered(fragments(TEXT, *(bytes((byte,)) for byte in payload)), (TEXT, payload))


def closing() -> Iterator[Case]:
    yield answered(text("Hello"), (TEXT, b"Hello"))
    for late in (close(1000), frame(PING), text("late"), frame(PONG), b"\xff" * 100):
        yield Case(close(1000) + late, [NORMAL])
    yield Case(frame(TEXT, b"unfinished", final=False) + close(1000), [NORMAL])
    yield answered(text("x" * 262_144) + text("y"), (TEXT, b"x" * 262_144), (TEXT, b"y"))
    yield Case(close(), [(CLOSE, b"")])
    yield failed(frame(CLOSE, b"a"), 1002)
    for reason in (b"", b"Hello", b"*" * 123, "tschüß".encode()):
        yield Case(close(1000, reason), [NORMAL])
    yield failed(frame(CLOSE, (1000).to_bytes(2) + b"*" * 124), 1002)
    yield failed(close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), 1007)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield Case(close(code, b"why"), [(CLOSE, code.to_bytes(2))])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield failed(close(code, b"why"), 1002)


def sizes() -> Iterator[Case]:
    for size in (65_536, 262_144, 1_048_576, 4_194_304):
        for opcode, payload in ((TEXT, b"*" * size), (BINARY, bytes(range(256)) * (size // 256))):
            yield answered(frame(opcode, payload), (opcode, payload))
    megabyte = bytes(range(256)) * 4096
    for size in (64, 4096, 65_536):
        parts = [megabyte[start : start + size] for start in range(0, len(megabyte), size)]
        yield answered(fragments(BINARY, *parts), (BINARY, megabyte))
    for piece in (512, 4096):
        yield answered(text("*" * 1_048_576), (TEXT, b"*" * 1_048_576), piece=piece)
    yield answered(frame(BINARY, b"*" * 16_777_216), (BINARY, b"*" * 16_777_216))
    yield failed(frame(BINARY, length=LIMIT + 1), 1009)
    yield failed(frame(TEXT, b"*" * LIMIT, final=False) + frame(CONTINUATION, b"*"), 1009)
    for size in (0, 16, 64, 256, 1024):
        yield answered(text("*" * size) * 1000, *[(TEXT, b"*" * size)] * 1000)


def automatic_fragmentation() -> Iterator[Case]:
    for opcode in (TEXT, BINARY):
        parts = [b"*" * 1300] * 50 + [b"*" * 536]
        yield answered(fragments(opcode, *parts), (opcode, b"".join(parts)))
        yield answered(fragments(opcode, *parts), (opcode, b"".join(parts)), piece=1300)


SECTIONS = {
    "1 framing": framing,
    "2 pings and pongs": pings,
    "3 reserved bits": reserved_bits,
    "4 opcodes": opcodes,
    "5 fragmentation": fragmentation,
    "6 UTF-8": utf8,
    "7 closing": closing,
    "9 sizes": sizes,
    "10 automatic fragmentation": automatic_fragmentation,
}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("path", ["/", "/detached"])
async def test_each_section_of_rfc_6455_is_followed(server: ProtocolServer, section: str, path: str) -> None:
    for case in SECTIONS[section]():
        async with open_websocket(server.port, path) as client:
            await client.send(case.sent, piece=case.piece)
            got = [(opcode, data[:2] if opcode == CLOSE else data) for opcode, data in await client.rest()]
        if got != case.expected:
            pytest.fail(
                f"{case.sent[:80]!r} in pieces of {case.piece}: {str(got)[:300]}, not {str(case.expected)[:300]}"
            )
