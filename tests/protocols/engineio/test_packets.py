from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.protocols.engineio.packets import Payload, join_payload
from asgi_realtime.protocols.frame import Frame

texts = st.text(alphabet=st.characters(exclude_characters="\x1e", exclude_categories=["Cs"])).map("4".__add__)


def decoded(body: bytes) -> list[str | bytes]:
    """All packets of a payload."""
    return list(iter(Payload(body).next, None))


def test_a_payload_of_text_and_binary_packets_is_decoded() -> None:
    assert decoded("4hällo\x1e3\x1ebAQIDBA==\x1e1".encode()) == ["4hällo", "3", b"\x01\x02\x03\x04", "1"]


@pytest.mark.parametrize(
    "body", [b"", b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b", b"bA", b"bA===", b"b\xc3\xa4", b"\xff"]
)
def test_an_object_that_is_not_a_payload_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decoded(body)


def test_packets_in_front_of_a_bad_one_are_delivered() -> None:
    packets = Payload(b"4a\x1e\x1e")
    assert packets.next() == "4a"
    with pytest.raises(ProtocolError):
        packets.next()


def test_texts_may_be_taken_before_they_are_decoded() -> None:
    packets = Payload("4hällo\x1ebAQIDBA==\x1e4a\x1e".encode())
    assert packets.next_text() == "4hällo".encode()
    assert packets.next_text() is None
    assert packets.next() == b"\x01\x02\x03\x04"
    assert [packets.next_text(), packets.next_text()] == [b"4a", None]
    with pytest.raises(ProtocolError):
        packets.next()


@given(st.binary())
def test_arbitrary_bytes_decode_or_raise_a_protocol_error(body: bytes) -> None:
    try:
        packets = decoded(body)
    except ProtocolError:
        return
    assert packets
    assert all(isinstance(packet, bytes) or packet for packet in packets)


@given(st.lists(st.binary() | st.just(b"\x1e") | st.just(b"b") | st.just(b"4") | st.binary().map(base64.b64encode)))
def test_bytes_that_look_like_payloads_decode_or_raise_a_protocol_error(pieces: list[bytes]) -> None:
    try:
        decoded(b"".join(pieces))
    except ProtocolError:
        pass


@given(st.lists(texts | st.binary(), min_size=1))
def test_sent_packets_decode_to_the_original(messages: list[str | bytes]) -> None:
    payload = join_payload(Frame(message).polling for message in messages)
    assert decoded(payload.encode()) == messages
