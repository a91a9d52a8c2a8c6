from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.payloads import encoding
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_text import MAX_NESTING
from asgi_realtime.protocols.socketio import packets
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.packets import (
    Ack,
    Connect,
    Disconnect,
    Event,
    InboundPacket,
    PacketType,
    PartialPacket,
    encode,
    read_header,
)
from asgi_realtime.values.event_names import RESERVED
from asgi_realtime.values.json import Json

LIMITS = Limits()


def decode(text: str, limits: Limits) -> InboundPacket | PartialPacket:
    """Parse a message as a session that accepts its packet."""
    return packets.decode(text, read_header(text, limits), limits)


def decode_frame(frame: Frame, limits: Limits = LIMITS) -> InboundPacket:
    """Decode a frame of the package as a client would."""
    text, *attachments = frame.messages
    assert isinstance(text, str) and text[0] == "4"
    packet = decode(text[1:], limits)
    for number, attachment in enumerate(attachments):
        assert isinstance(packet, PartialPacket) and isinstance(attachment, bytes)
        whole = packet.add(attachment)
        assert (whole is not None) is (number == len(attachments) - 1)
        packet = whole or packet
    assert not isinstance(packet, PartialPacket)
    return packet


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", Connect("/")),
        ("0{}", Connect("/", {})),
        ('0{"token":"123"}', Connect("/", {"token": "123"})),
        ("0/admin", Connect("/admin")),
        ("0/admin,", Connect("/admin")),
        ('0/admin,{"token":"123"}', Connect("/admin", {"token": "123"})),
        ("0/admin?token=1", Connect("/admin")),
        ('0/admin?token=1,{"a":1}', Connect("/admin", {"a": 1})),
        ("0/?token=1,", Connect("/")),
        ("1", Disconnect("/")),
        ("1/admin", Disconnect("/admin")),
        ("1/admin,", Disconnect("/admin")),
        ('2["foo"]', Event("/", "foo", [])),
        ('2["foo",1,"2",{"3":[true]},null]', Event("/", "foo", [1, "2", {"3": [True]}, None])),
        ('2/admin,["bar"]', Event("/admin", "bar", [])),
        ('2/,["bar"]', Event("/", "bar", [])),
        ('212["foo"]', Event("/", "foo", [], 12)),
        ('2/admin,0["foo"]', Event("/admin", "foo", [], 0)),
        ('29007199254740991["foo"]', Event("/", "foo", [], 2**53 - 1)),
        ("313[]", Ack("/", 13, [])),
        ('3/admin,13["bar"]', Ack("/admin", 13, ["bar"])),
        ('50-["foo"]', Event("/", "foo", [])),
        ('2["foo",123456789012345678901234567890]', Event("/", "foo", [123456789012345678901234567890])),
        ('2["foo",{"a":1,"a":2}]', Event("/", "foo", [{"a": 2}])),
    ],
)
def test_well_formed_packets_are_decoded(text: str, packet: InboundPacket) -> None:
    assert decode(text, LIMITS) == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "7",
        "9[]",
        "٣1[]",  # a digit that is not ASCII
        '4{"message":"x"}',
        "01{}",
        "0[]",
        "0null",
        '0"x"',
        "0{",
        '0/admin{"token":"123"}\n',
        "1{}",
        '1["x"]',
        "15",
        "2",
        "2[]",
        "2{}",
        "2[1]",
        "2[null]",
        '2[["foo"]]',
        '2"foo"',
        '2/admin["foo"]',
        '2abc["foo"]',
        '2-1["foo"]',
        '21.5["foo"]',
        '2٣["foo"]',
        f'2{"1" * 17}["foo"]',
        f'2{"1" * 100_000}["foo"]',
        '2["foo"]x',
        '2["foo"',
        '2["foo",NaN]',
        '2["foo",Infinity]',
        '2["foo",1e999]',
        f'2["foo",{"1" * 5000}]',
        '2["foo","\ud800"]',
        '2["foo","\x01"]',
        "3[]",
        "31{}",
        "31",
        '31-1["foo"]',
        '21-["foo",{"_placeholder":true,"num":0}]',
        '5["foo"]',
        '5-1["foo"]',
        '5-["foo"]',
        '5--1-["foo"]',
        '51.0-["foo",{"_placeholder":true,"num":0}]',
        "51-[]",
        "51-{}",
        '6["foo"]',
        "61-[{}]",
        "61-/admin,[]",
        '51-[{"_placeholder":true,"num":0}]',
    ],
)
def test_malformed_packets_are_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode(text, LIMITS)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_events_are_refused(name: str) -> None:
    with pytest.raises(ProtocolError):
        decode(f'2["{name}"]', LIMITS)
    with pytest.raises(ProtocolError):
        decode(f'51-["{name}",{{"_placeholder":true,"num":0}}]', LIMITS)


def test_binary_event_is_whole_with_its_last_attachment() -> None:
    partial = decode('52-/chat,7["pair",{"b":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]', LIMITS)
    assert isinstance(partial, PartialPacket)
    assert partial.add(b"first") is None
    assert partial.add(b"second") == Event("/chat", "pair", [{"b": [b"second"]}, b"first"], 7)


def test_a_binary_ack_is_complete_with_its_attachment() -> None:
    partial = decode('61-15["bar",{"_placeholder":true,"num":0}]', LIMITS)
    assert isinstance(partial, PartialPacket)
    assert partial.add(b"\x01") == Ack("/", 15, ["bar", b"\x01"])


@pytest.mark.parametrize("number", ["-1", "2", "1000000", "1.0", "true", '"0"', "null", "[]"])
def test_placeholders_name_an_attachment(number: str) -> None:
    with pytest.raises(ProtocolError):
        decode(f'52-["x",{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":{number}}}]', LIMITS)


def test_placeholders_name_each_attachment_once() -> None:
    placeholder = '{"_placeholder":true,"num":0}'
    for body in (
        f"51-[{{}},{placeholder}]",
        f'51-["x",{placeholder},{placeholder}]',
        '51-["x"]',
        f'52-["x",{placeholder}]',
    ):
        with pytest.raises(ProtocolError):
            decode(body, LIMITS)
    with pytest.raises(ProtocolError):
        decode('51-["x",{"_placeholder":true}]', LIMITS)
    with pytest.raises(ProtocolError):
        decode(f'50-["x",{placeholder}]', LIMITS)


def test_a_placeholder_in_a_packet_without_attachments_is_plain_data() -> None:
    placeholder = {"_placeholder": True, "num": 0}
    assert decode('2["x",{"_placeholder":true,"num":0}]', LIMITS) == Event("/", "x", [placeholder])
    untrue = decode('51-["x",{"_placeholder":1,"num":0},{"_placeholder":true,"num":0}]', LIMITS)
    assert isinstance(untrue, PartialPacket)
    assert untrue.add(b"") == Event("/", "x", [{"_placeholder": 1, "num": 0}, b""])


def test_attachments_are_limited() -> None:
    def packet(count: int) -> str:
        return f"5{count}-{json.dumps(['x', *({'_placeholder': True, 'num': n} for n in range(count))])}"

    assert isinstance(decode(packet(10), LIMITS), PartialPacket)
    for count in (11, 1_000):
        with pytest.raises(ProtocolError):
            decode(packet(count), LIMITS)
    for digits in ("1000000", "9" * 10, "9" * 10_000):
        with pytest.raises(ProtocolError):
            decode(f'5{digits}-["x"]', LIMITS)


def test_event_names_are_limited_in_bytes() -> None:
    limits = dataclasses.replace(LIMITS, event_name_bytes=6)
    assert decode('2["abcdef"]', limits) == Event("/", "abcdef", [])
    assert decode('2["消息"]', limits) == Event("/", "消息", [])
    for name in ("abcdefg", "消息x"):
        with pytest.raises(ProtocolError):
            decode(f'2["{name}"]', limits)


def test_namespaces_are_limited() -> None:
    with pytest.raises(ProtocolError):
        decode("0/" + "x" * 200, LIMITS)
    with pytest.raises(ProtocolError):
        decode("0/a\x1eb", LIMITS)
    with pytest.raises(ProtocolError):
        decode("0/\ud800", LIMITS)
    assert decode("0/x?" + "q" * 1000, LIMITS) == Connect("/x")


def test_connect_payload_is_limited() -> None:
    limits = dataclasses.replace(LIMITS, handshake_bytes=16)
    assert decode('0{"t":"12345678"}', limits) == Connect("/", {"t": "12345678"})
    for payload in ('{"t":"123456789"}', '{"t":"消消消"}'):
        with pytest.raises(ProtocolError):
            decode("0" + payload, limits)


def nested(depth: int) -> str:
    return f'2["x",{"[" * (depth - 1)}{"]" * (depth - 1)}]'


def test_nesting_is_limited() -> None:
    assert isinstance(decode(nested(MAX_NESTING), LIMITS), Event)
    for depth in (MAX_NESTING + 1, 500, 100_000):
        with pytest.raises(ProtocolError):
            decode(nested(depth), LIMITS)
    with pytest.raises(ProtocolError):
        decode('2["x",' + '{"a":' * MAX_NESTING + "1" + "}" * MAX_NESTING + "]", LIMITS)
    wide = decode(f'2["x",{",".join(["[{}]"] * 1000)},"{"[" * 1000}"]', LIMITS)
    assert isinstance(wide, Event) and len(wide.args) == 1001


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"half \ud83d", "half \ufffd"),
        (r"\uDE00 half", "\ufffd half"),
        (r"\ud83dx\ud83d\ude00", "\ufffdx😀"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (r"\ud83d\n\"", '\ufffd\n"'),
    ],
)
def test_half_an_emoji_is_replaced(sent: str, text: str) -> None:
    assert decode(f'2["x","{sent}"]', LIMITS) == Event("/", "x", [text])


fragments = [*'0123456-,/?[]{}":\\x', '"x"', '"_placeholder":true', '"num":', "\\ud800", "1-", "é"]


@given(st.text(max_size=300) | st.lists(st.sampled_from(fragments)).map("".join))
@example('2["x","\ud800"]')
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        packet = decode(text, LIMITS)
    except ProtocolError:
        return
    assert isinstance(packet, (Connect, Disconnect, Event, Ack, PartialPacket))


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_and_bytes: st.SearchStrategy[Json] = st.recursive(
    scalars | texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
namespaces = st.sampled_from(["/", "/chat", "/消息", "/a/b"])
ack_ids = st.none() | st.integers(0, 2**53)


@given(namespaces, texts.filter(lambda name: name not in RESERVED), st.lists(json_and_bytes, max_size=3), ack_ids)
def test_events_round_trip(namespace: str, name: str, args: list[Json], ack_id: int | None) -> None:
    limits = dataclasses.replace(LIMITS, attachments=100)
    payload, attachments = encoding.encode(args)
    frame = SocketIODialect(namespace).event(name, payload[1:-1], attachments, ack_id=ack_id)
    assert decode_frame(frame, limits) == Event(namespace, name, args, ack_id)


@given(namespaces, st.integers(0, 2**53), st.lists(json_and_bytes, max_size=3))
def test_acks_round_trip(namespace: str, ack_id: int, args: list[Json]) -> None:
    limits = dataclasses.replace(LIMITS, attachments=100)
    assert decode_frame(SocketIODialect(namespace).ack(ack_id, args), limits) == Ack(namespace, ack_id, args)


def test_packets_are_encoded_with_namespace_ack_id_and_attachments() -> None:
    assert encode(PacketType.EVENT, "/", '["foo"]').messages == ('42["foo"]',)
    assert encode(PacketType.EVENT, "/admin", '["foo"]', ack_id=0).messages == ('42/admin,0["foo"]',)
    assert encode(PacketType.ACK, "/admin", "[]", ack_id=13).messages == ("43/admin,13[]",)
    assert encode(PacketType.DISCONNECT, "/admin").messages == ("41/admin,",)
    assert encode(PacketType.ACK, "/", "[…]", attachments=[b"a", b"b"], ack_id=1).messages == ("462-1[…]", b"a", b"b")
