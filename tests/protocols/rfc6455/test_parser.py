from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.protocols.rfc6455 import Close, FrameError, Parser, Ping, Pong
from asgi_realtime.protocols.rfc6455.parser import Fragment, Received
from tests.support.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, fragments, frame, text

LIMIT = 1_000_000


def decode(*pieces: bytes, limit: int = LIMIT) -> tuple[list[Received], int | None]:
    """Everything parsed from the pieces, and the code of the error that ended parsing."""
    parser = Parser(limit)
    received: list[Received] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while (item := parser.next()) is not None:
                if not isinstance(item, Fragment):
                    received.append(item)
    except FrameError as error:
        parser.feed(text("more"))
        assert parser.next() is None
        return received, error.code
    return received, None


@pytest.mark.parametrize(
    "message",
    ["", "hello", "κόσμε 😀", "x" * 125, "x" * 126, "é" * 40_000, b"", b"\x00\xfe", b"x" * 65_535, b"x" * 70_000],
)
def test_messages_come_as_text_or_bytes(message: str | bytes) -> None:
    encoded = text(message) if isinstance(message, str) else frame(BINARY, message)
    assert decode(encoded + text("next")) == ([message, "next"], None)


def test_fragments_are_one_message_and_control_frames_may_come_between() -> None:
    stream = (
        frame(TEXT, b"a", final=False) + frame(PING, b"now") + frame(CONTINUATION, final=False)
        + frame(PONG) + frame(CONTINUATION, b"b")
    )  # fmt: skip
    assert decode(stream) == ([Ping(b"now"), Pong(b""), "ab"], None)
    assert decode(fragments(BINARY, b"", b"\xff", b"")) == ([b"\xff"], None)


def test_a_character_may_be_cut_between_fragments() -> None:
    encoded = "κόσμε 😀".encode()
    assert decode(fragments(TEXT, *(bytes((byte,)) for byte in encoded))) == (["κόσμε 😀"], None)


@pytest.mark.parametrize(
    ("stream", "close"),
    [
        (close(), Close(1005, "")),
        (close(1000), Close(1000, "")),
        (close(1001, "tschüß".encode()), Close(1001, "tschüß")),
        (close(4999, b"x" * 123), Close(4999, "x" * 123)),
    ],
)
def test_nothing_comes_after_a_close(stream: bytes, close: Close) -> None:
    assert decode(text("a") + stream + text("b") + b"\xff\xff", text("c")) == (["a", close], None)


BROKEN = {
    "a reserved bit": (frame(TEXT, b"a", reserved=4), 1002),
    "another reserved bit": (frame(PING, reserved=1), 1002),
    "an unknown opcode for data": (frame(3), 1002),
    "an unknown opcode for control": (frame(11), 1002),
    "no mask": (frame(TEXT, b"a", key=None), 1002),
    "no mask on nothing": (frame(TEXT, b"", key=None), 1002),
    "a control frame in fragments": (frame(PING, final=False), 1002),
    "a long control frame": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "a message within a message": (frame(TEXT, b"a", final=False) + text("b"), 1002),
    "a binary message within a text": (frame(TEXT, b"a", final=False) + frame(BINARY, b"b"), 1002),
    "a short length in two bytes": (frame(TEXT, b"a", width=2), 1002),
    "a short length in eight bytes": (frame(TEXT, b"a" * 200, width=8), 1002),
    "a length with the highest bit": (frame(TEXT, length=1 << 63), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close reason that is not UTF-8": (close(1000, b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"\xce\xba\xff"), 1007),
    "long text that is not UTF-8": (frame(TEXT, b"a" * 200 + b"\xc3"), 1007),
    "half of a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "half of a character at the end of fragments": (fragments(TEXT, b"a", b"\xe2\x82"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "an overlong form": (frame(TEXT, b"\xc0\xaf"), 1007),
    "beyond Unicode": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
def test_protocol_errors_have_a_close_code(name: str) -> None:
    stream, code = BROKEN[name]
    assert decode(text("before") + stream + text("after")) == (["before"], code)
    assert decode(*(bytes((byte,)) for byte in stream)) == ([], code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_an_invalid_close_code_is_refused(code: int) -> None:
    assert decode(close(code)) == ([], 1002)


def test_a_fragment_that_is_not_utf8_is_refused_before_the_message_is_whole() -> None:
    assert decode(frame(TEXT, b"a\xff", final=False)) == ([], 1007)


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        (text("x" * 100), True),
        (text("x" * 101), False),
        (frame(BINARY, b"x" * 100), True),
        (frame(BINARY, b"x" * 101), False),
        (text("é" * 50), True),
        (text("é" * 51), False),
        (fragments(TEXT, b"x" * 60, b"x" * 40), True),
        (fragments(TEXT, b"x" * 60, b"x" * 41), False),
    ],
)
def test_a_message_over_the_limit_in_bytes_is_refused(stream: bytes, whole: bool) -> None:
    received, code = decode(stream, limit=100)
    assert (len(received), code) == ((1, None) if whole else (0, 1009))


def test_a_message_over_the_limit_is_refused_by_its_header() -> None:
    header = frame(BINARY, length=LIMIT + 1)
    assert decode(header) == ([], 1009)
    first = frame(BINARY, b"x" * 200, final=False)
    assert decode(first + frame(CONTINUATION, length=LIMIT - 199)) == ([], 1009)


def test_control_frames_have_a_limit_of_their_own() -> None:
    assert decode(frame(PING, b"x" * 125), limit=10) == ([Ping(b"x" * 125)], None)


def test_messages_are_parsed_only_when_requested() -> None:
    parser = Parser(LIMIT)
    parser.feed(text("a") + text("b"))
    assert parser.next() == "a"
    assert parser.waiting == len(text("b"))
    parser.feed(text("c")[:3])
    parser.feed(text("c")[3:])
    assert [parser.next(), parser.next(), parser.next()] == ["b", "c", None]
    assert parser.waiting == 0


def test_fragments_are_returned_and_small_ones_are_marked() -> None:
    parser = Parser(LIMIT)
    sizes = (63, 64, 16_384, 0, 63, 1)
    parser.feed(fragments(BINARY, *(b"x" * size for size in sizes)))
    small_fragments = [Fragment(small=size < 64) for size in sizes[:-1]]
    assert [parser.next() for _ in sizes] == [*small_fragments, b"x" * sum(sizes)]


def test_empty_fragments_add_nothing_to_a_message() -> None:
    parser = Parser(LIMIT)
    parser.feed(frame(TEXT, final=False))
    assert parser.next() == Fragment(small=True)
    flood = frame(CONTINUATION, final=False) * 1000
    tracemalloc.start()
    try:
        for _ in range(10):
            parser.feed(flood)
            for _ in range(1000):
                assert parser.next() == Fragment(small=True)
            assert parser.next() is None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000
    parser.feed(frame(CONTINUATION, b"end"))
    assert parser.next() == "end"


MESSAGES = (
    st.text(max_size=300) | st.binary(max_size=300) | st.integers(126, 70_000).map(lambda length: b"\xa5" * length)
)
KEYS = st.binary(min_size=4, max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Received]]:
    """Valid client frames, and the messages they carry."""
    stream, meaning = b"", list[Received]()
    for message in draw(st.lists(MESSAGES, max_size=6)):
        payload = message.encode() if isinstance(message, str) else message
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        parts = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for number, part in enumerate(parts):
            opcode = CONTINUATION if number else TEXT if isinstance(message, str) else BINARY
            stream += frame(opcode, part, final=number == len(parts) - 1, key=draw(KEYS))
            if number < len(parts) - 1 and draw(st.booleans()):
                stream += frame(PING, bytes((number,)))
                meaning.append(Ping(bytes((number,))))
        meaning.append(message)
    if draw(st.booleans()):
        stream += close(1001, b"bye")
        meaning.append(Close(1001, "bye"))
    return stream, meaning


@given(streams(), st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_of_a_stream_gives_the_same_messages(stream: tuple[bytes, list[Received]], cuts: list[int]) -> None:
    data, meaning = stream
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    assert decode(*pieces) == (meaning, None)


@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(1, 300))
def test_arbitrary_bytes_raise_nothing_but_a_frame_error(pieces: list[bytes], limit: int) -> None:
    for received in decode(*pieces, limit=limit)[0]:
        if isinstance(received, str | bytes):
            assert len(received) <= limit


@given(st.integers(0, 255), st.booleans(), st.integers(0, 127), st.binary(max_size=140), st.integers(0, 200))
def test_any_header_is_decoded_or_refused_however_it_is_cut(
    first: int, masked: bool, length: int, rest: bytes, cut: int
) -> None:
    data = bytes((first, masked << 7 | length)) + rest
    assert decode(data[:cut], data[cut:]) == decode(data)


@given(
    messages=st.lists(st.text(max_size=300) | st.binary(max_size=20), max_size=6),
    lengths=st.lists(st.integers(1, 200), max_size=6),
    limit=st.sampled_from([5, 100, LIMIT]),
)
def test_texts_may_be_taken_before_they_are_decoded(
    messages: list[str | bytes], lengths: list[int], limit: int
) -> None:
    data = b"".join(text(each) if isinstance(each, str) else frame(BINARY, each) for each in messages)
    pieces = [data[start : start + 50] for start in range(0, len(data), 50)] + [b"\x00" * length for length in lengths]
    parser, received, code = Parser(limit), list[Received](), None
    try:
        for piece in pieces:
            parser.feed(piece)
            while True:
                while (taken := parser.next_text()) is not None:
                    received.append(parser.decode(taken))
                if (item := parser.next()) is None:
                    break
                received.append(item)
    except FrameError as error:
        code = error.code
    assert (received, code) == decode(*pieces, limit=limit)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        text("a")[:5],
        text("a")[:6],
        text("x" * 126)[:7],
        frame(TEXT, b"a", key=None),
        frame(TEXT, b"a", final=False),
        frame(TEXT, b"a", reserved=4),
        frame(TEXT, b"a", width=2),
        frame(TEXT, b"a", width=8),
        frame(BINARY, b"a"),
        frame(PING, b"a"),
        text("x" * 2000),
        text("x" * 101),
        fragments(TEXT, b"a", b"b"),
    ],
)
def test_what_is_no_short_text_is_left_to_the_general_way(data: bytes) -> None:
    parser = Parser(100)
    parser.feed(data)
    assert parser.next_text() is None
    assert parser.waiting == len(data)
