from __future__ import annotations

import dataclasses

import pytest

from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.values.publications import Position

ROOT = SocketIODialect("/")
ADMIN = SocketIODialect("/admin")


def test_encoded_payloads_are_framed_as_events() -> None:
    assert ROOT.event("ready").messages == ('42["ready"]',)
    assert ROOT.event("new", b'{"id":1}').messages == ('42["new",{"id":1}]',)
    assert ADMIN.event("new", b"null").messages == ('42/admin,["new",null]',)
    assert ROOT.event('say "hi"', '"消息"'.encode()).messages == ('42["say \\"hi\\"","消息"]',)


def test_payloads_with_attachments_are_framed_as_binary_events() -> None:
    payload = b'{"image":{"_placeholder":true,"num":0}}'
    frame = ADMIN.with_position(ADMIN.event("new", payload, [b"png"]), Position("5-1"))
    assert frame.messages == ('451-/admin,["new",{"image":{"_placeholder":true,"num":0}},"5-1"]', b"png")


def test_an_event_may_have_any_arguments_and_an_ack_id() -> None:
    assert ROOT.event_args("foo", []).messages == ('42["foo"]',)
    assert ROOT.event_args("foo", [1, None, {"a": [True]}]).messages == ('42["foo",1,null,{"a":[true]}]',)
    assert ADMIN.event_args("foo", [(1, 2)]).messages == ('42/admin,["foo",[1,2]]',)
    assert ROOT.event("foo", b'1,null,{"a":[true]}', ack_id=7).messages == ('427["foo",1,null,{"a":[true]}]',)
    assert ADMIN.event("foo", ack_id=0).messages == ('42/admin,0["foo"]',)


def test_bytes_become_attachments_depth_first() -> None:
    frame = ROOT.event_args("foo", [{"a": [b"0", {"b": bytearray(b"1")}], "c": b"2"}, b"3"])
    text, *attachments = frame.messages
    assert attachments == [b"0", b"1", b"2", b"3"]
    assert all(type(attachment) is bytes for attachment in attachments)
    places = [f'{{"_placeholder":true,"num":{number}}}' for number in range(4)]
    assert text == f'454-["foo",{{"a":[{places[0]},{{"b":{places[1]}}}],"c":{places[2]}}},{places[3]}]'


def test_arguments_may_be_models() -> None:
    @dataclasses.dataclass
    class Picture:
        name: str
        data: bytes

    frame = ROOT.ack(3, [Picture("p", b"png")])
    assert frame.messages == ('461-3[{"name":"p","data":{"_placeholder":true,"num":0}}]', b"png")


def test_unencodable_values_raise_type_error() -> None:
    with pytest.raises(TypeError):
        ROOT.event_args("foo", [object()])
    with pytest.raises(TypeError):
        ROOT.ack(1, [object()])


def test_acks_are_framed_with_their_id() -> None:
    assert ROOT.ack(12, []).messages == ("4312[]",)
    assert ADMIN.ack(12, [None, "x"]).messages == ('43/admin,12[null,"x"]',)


def test_answers_to_connect_and_disconnect_are_framed() -> None:
    assert ROOT.connect({"sid": "x"}).messages == ('40{"sid":"x"}',)
    assert ADMIN.connect({"sid": "x"}).messages == ('40/admin,{"sid":"x"}',)
    assert SocketIODialect("/random").connect_error({"message": "Invalid namespace"}).messages == (
        '44/random,{"message":"Invalid namespace"}',
    )
    assert ROOT.disconnect().messages == ("41",)
    assert ADMIN.disconnect().messages == ("41/admin,",)


def test_frames_for_polling_are_joined_and_separators_escaped() -> None:
    assert (
        ROOT.event_args("foo", [b"\x01\x02\x03\x04"]).polling
        == '451-["foo",{"_placeholder":true,"num":0}]\x1ebAQIDBA=='
    )
    assert ROOT.event_args("foo", ["a\x1eb"]).polling == '42["foo","a\\u001eb"]'


@pytest.mark.parametrize("namespace", ["", "admin", "/a,b", "/a?b", "/a\nb"])
def test_namespaces_that_cannot_be_written_are_refused(namespace: str) -> None:
    with pytest.raises(ValueError):
        SocketIODialect(namespace)
