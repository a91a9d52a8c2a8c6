"""permessage-deflate without I/O: negotiation, compression, and the limit on inflated size."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.rfc6455 import FrameError, Parser, encode
from asgi_realtime.protocols.rfc6455.deflate import COMPRESSED_FROM, DeflateError, agree, deflate, inflate
from asgi_realtime.protocols.rfc6455.parser import Fragment
from tests.support.client_frames import BINARY, CONTINUATION, PING, TEXT, deflated, fragments, frame

AGREED = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LIMIT = 1_000_000


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (b"permessage-deflate", AGREED),
        (b"Permessage-Deflate; client_max_window_bits", AGREED),
        (b"permessage-deflate; client_max_window_bits=8; server_no_context_takeover", AGREED),
        (
            b"permessage-deflate ;server_max_window_bits=15;client_no_context_takeover",
            AGREED + b"; server_max_window_bits=15",
        ),
        (b"permessage-deflate; server_max_window_bits=15", AGREED + b"; server_max_window_bits=15"),
        (b'permessage-deflate; server_max_window_bits="15"', AGREED + b"; server_max_window_bits=15"),
        # The server uses one window size for all connections, so it tries the next offer.
        (b"permessage-deflate; server_max_window_bits=10", None),
        (b"permessage-deflate; server_max_window_bits=10, permessage-deflate", AGREED),
        (b"x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover", AGREED),
        (b"permessage-deflate; server_max_window_bits", None),
        (b"permessage-deflate; server_max_window_bits=16", None),
        (b"permessage-deflate; client_max_window_bits=7", None),
        (b"permessage-deflate; client_max_window_bits=08", None),
        (b"permessage-deflate; server_no_context_takeover=1", None),
        (b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        (b"permessage-deflate; unknown", None),
        (b"permessage-deflate;", None),
        (b"permessage-bzip2", None),
        (b"", None),
        (b",,;=", None),
    ],
)
def test_an_offer_is_accepted_with_its_parameters_or_declined(offer: bytes, answer: bytes | None) -> None:
    assert agree([offer]) == answer
    assert agree([b"x-other", offer]) == answer


@given(st.text(min_size=COMPRESSED_FROM // 4) | st.binary(min_size=COMPRESSED_FROM - 10), st.integers(1, 30))
def test_inflating_gives_the_original_message(message: str | bytes, times: int) -> None:
    parser = Parser(LIMIT)
    parser.deflate = True
    message *= times
    wire = deflate(message)
    plain = encode(message)
    assert len(wire) <= len(plain)
    if wire == plain:
        return
    # Read as by a client: frames of a server have no mask.
    start = 2 if wire[1] < 126 else 4 if wire[1] == 126 else 10
    data = inflate(wire[start:], LIMIT * 100)
    assert data == (message.encode() if isinstance(message, str) else message)
    assert wire[0] == plain[0] | 0x40


def test_small_messages_and_noise_stay_as_they_are() -> None:
    small, noise = "x" * (COMPRESSED_FROM - 1), random.Random(0).randbytes(COMPRESSED_FROM)
    assert deflate(small) == encode(small)
    assert deflate(noise) == encode(noise)


def test_a_frame_is_compressed_once() -> None:
    frame = Frame("x" * 5000, b"attachment")
    assert frame.deflated is frame.deflated
    assert len(frame.deflated) < 100
    assert frame.deflated.endswith(encode(b"attachment"))
    small = Frame("small")
    assert small.deflated is small.wire


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        message = inflate(payload, 10_000)
    except DeflateError:
        return
    assert message is None or len(message) <= 10_000


def received(stream: bytes, limit: int = LIMIT) -> list[object]:
    """What a parser returns for a client's stream. The last item is the code of its error, if any."""
    parser = Parser(limit)
    parser.deflate = True
    parser.feed(stream)
    found: list[object] = []
    try:
        while (item := parser.next()) is not None:
            if not isinstance(item, Fragment):
                found.append(item)
    except FrameError as error:
        found.append(error.code)
    return found


def test_compressed_and_plain_messages_may_alternate() -> None:
    stream = frame(TEXT, b"plain") + deflated(TEXT, b"compressed") + fragments(TEXT, b"a", b"b") + deflated(BINARY, b"")
    assert received(stream) == ["plain", "compressed", "ab", b""]
    # Examples of RFC 7692, section 7.2.3: without a shared window, without compression, with a final block, two blocks.
    for payload in ("f248cdc9c90700", "000500faff48656c6c6f00", "f348cdc9c9070000", "f248050000 00ffff cac9c90700"):
        assert received(frame(TEXT, bytes.fromhex(payload), reserved=4)) == ["Hello"]


def test_the_compression_bit_is_allowed_only_on_the_first_frame_of_a_message() -> None:
    whole = zlib.compressobj(wbits=-15)
    payload = whole.compress("κόσμε".encode() * 10) + whole.flush(zlib.Z_SYNC_FLUSH)
    parts = [payload[:3], payload[3:-4]]
    first = frame(TEXT, parts[0], final=False, reserved=4)
    assert received(first + frame(PING, b"") + frame(CONTINUATION, parts[1]))[1:] == ["κόσμε" * 10]
    assert received(first + frame(CONTINUATION, parts[1], reserved=4)) == [1002]
    assert received(frame(PING, b"", reserved=4)) == [1002]
    for bits in (1, 2, 5, 6, 7):
        assert received(frame(TEXT, b"", reserved=bits)) == [1002]


def test_an_invalid_compressed_message_is_refused_with_1007() -> None:
    assert received(frame(TEXT, b"\xff\xff\xff", reserved=4)) == [1007]
    assert received(deflated(TEXT, b"\xff")) == [1007]
    assert received(deflated(BINARY, b"\xff")) == [b"\xff"]
    final = bytes.fromhex("f348cdc9c90700")
    assert received(frame(TEXT, final + final, reserved=4)) == [1007]


@pytest.mark.parametrize("parts", [1, 3])
def test_a_compression_bomb_is_refused_in_little_memory(parts: int) -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(compressor.compress(b"\x00" * LIMIT) for _ in range(200)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    bomb = bomb[:-4]
    step = len(bomb) // parts + 1
    pieces = [bomb[start : start + step] for start in range(0, len(bomb), step)]
    stream = frame(TEXT, pieces[0], final=parts == 1, reserved=4) + b"".join(
        frame(CONTINUATION, piece, final=number == parts - 1) for number, piece in enumerate(pieces[1:], 1)
    )
    tracemalloc.start()
    assert received(stream, limit=1_000_000) == [1009]
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert received(deflated(BINARY, b"x" * 100_000), limit=100_000) == [b"x" * 100_000]
    assert received(deflated(BINARY, b"x" * 100_001), limit=100_000) == [1009]
