from __future__ import annotations

import pytest

from asgi_realtime.protocols.rfc6455 import frames
from asgi_realtime.protocols.rfc6455.masking import unmask


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        ("Hello", b"\x81\x05Hello"),
        ("", b"\x81\x00"),
        ("é", b"\x81\x02\xc3\xa9"),
        (b"", b"\x82\x00"),
        (b"\x00\xff", b"\x82\x02\x00\xff"),
        (b"x" * 125, b"\x82\x7d" + b"x" * 125),
        (b"x" * 126, b"\x82\x7e\x00\x7e" + b"x" * 126),
        (b"x" * 65_535, b"\x82\x7e\xff\xff" + b"x" * 65_535),
        (b"x" * 65_536, b"\x82\x7f" + (65_536).to_bytes(8) + b"x" * 65_536),
    ],
)
def test_a_message_is_one_frame_with_the_shortest_header(message: str | bytes, encoded: bytes) -> None:
    assert frames.encode(message) == encoded


def test_half_a_surrogate_pair_cannot_be_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        frames.encode("\ud800")


def test_control_frames_are_written_and_limited_to_125_bytes() -> None:
    assert frames.ping() == b"\x89\x00"
    assert frames.pong(b"1234") == b"\x8a\x041234"
    assert frames.close(1000, "bye") == b"\x88\x05\x03\xe8bye"
    assert frames.close(frames.NO_STATUS) == b"\x88\x00"
    with pytest.raises(ValueError, match="125"):
        frames.ping(b"x" * 126)


def test_a_reason_is_cut_at_a_character() -> None:
    assert frames.close(1000, "x" * 200) == b"\x88\x7d\x03\xe8" + b"x" * 123
    assert frames.close(1000, "x" + "é" * 100) == b"\x88\x7d\x03\xe8x" + "é".encode() * 61


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 70_000])
def test_a_close_code_that_may_not_be_sent_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        frames.close(code)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 1023, 1024, 1025, 4095, 4096, 4097, 12_288, 70_001])
def test_the_mask_repeats_every_four_bytes(length: int) -> None:
    payload = bytes(index * 7 % 256 for index in range(length))
    key = b"\x01\x02\xf3\x04"
    masked = unmask(key + payload, 4, length)
    assert masked == bytes(byte ^ b"\x01\x02\xf3\x04"[index % 4] for index, byte in enumerate(payload))
    assert unmask(b"before" + key + masked + b"behind", 10, length) == payload
