from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.packets import Ack, Connect, Disconnect, Event
from asgi_realtime.protocols.socketio.session import SocketIOSession

LIMITS = Limits()


def opened(*namespaces: str, limits: Limits = LIMITS) -> SocketIOSession:
    session = SocketIOSession(limits)
    for namespace in namespaces or ("/",):
        assert session.receive(f"0{namespace},") == Connect(namespace)
        session.connected(namespace)
    return session


def test_a_namespace_from_connect_to_disconnect() -> None:
    session = SocketIOSession(LIMITS)
    assert session.receive('0{"token":"x"}') == Connect("/", {"token": "x"})
    assert list(session.namespaces) == ["/"]
    session.connected("/")
    assert session.receive('21["foo",1]') == Event("/", "foo", [1], 1)
    assert session.receive("31[]") == Ack("/", 1, [])
    assert session.receive("1") == Disconnect("/")
    assert list(session.namespaces) == []


def test_namespaces_are_independent() -> None:
    session = opened("/", "/custom")
    assert session.receive("1/custom") == Disconnect("/custom")
    assert session.receive('2["message","x"]') == Event("/", "message", ["x"])


@pytest.mark.parametrize("message", ['2["foo"]', "31[]", "1", '2/other,["foo"]', "1/other"])
def test_a_packet_for_a_namespace_never_connected(message: str) -> None:
    with pytest.raises(ProtocolError):
        SocketIOSession(LIMITS).receive(message)
    with pytest.raises(ProtocolError):
        opened("/another").receive(message)


def test_a_packet_before_the_answer_to_connect_is_a_protocol_error() -> None:
    for message in ('2["foo"]', "31[]", "0"):
        session = SocketIOSession(LIMITS)
        session.receive("0")
        with pytest.raises(ProtocolError):
            session.receive(message)


def test_a_second_connect_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        opened("/").receive("0")


def test_packets_sent_to_a_closed_namespace_are_ignored() -> None:
    session = opened("/", "/custom")
    session.disconnected("/custom")
    assert session.receive('2/custom,["foo"]') is None
    assert session.receive("3/custom,1[]") is None
    assert session.receive("1/custom,") is None
    assert session.receive('51-/custom,["foo",{"_placeholder":true,"num":0}]') is None
    assert session.receive(b"") is None
    assert session.receive('2["foo"]') == Event("/", "foo", [])


def test_packets_after_the_clients_own_disconnect_are_ignored() -> None:
    # A JavaScript client answers an event whose handler disconnected first.
    session = opened("/", "/custom")
    assert session.receive("1/custom") == Disconnect("/custom")
    assert session.receive("3/custom,1[]") is None


def test_a_refused_namespace_may_be_requested_again() -> None:
    session = SocketIOSession(LIMITS)
    for _ in range(3):
        assert session.receive("0/custom") == Connect("/custom")
        session.disconnected("/custom")
    assert session.receive("0/custom") == Connect("/custom")
    session.connected("/custom")
    assert session.receive('2/custom,["foo"]') == Event("/custom", "foo", [])


def test_a_client_may_disconnect_before_connect_is_answered() -> None:
    session = SocketIOSession(LIMITS)
    session.receive("0")
    assert session.receive("1") == Disconnect("/")
    session.connected("/")
    assert list(session.namespaces) == []
    assert session.receive('2["foo"]') is None


def test_closed_namespaces_are_remembered_up_to_a_limit() -> None:
    session = opened("/a", "/b", "/c", limits=dataclasses.replace(LIMITS, namespaces_per_session=2))
    for namespace in ("/a", "/b", "/c"):
        session.disconnected(namespace)
        session.disconnected(namespace)
    assert session.receive('2/b,["foo"]') is None
    with pytest.raises(ProtocolError):
        session.receive('2/a,["foo"]')


def test_attachments_complete_the_packet_before_them() -> None:
    session = opened()
    assert session.receive('52-7["foo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]') is None
    assert session.receive(b"a") is None
    assert session.receive(b"b") == Event("/", "foo", [b"a", b"b"], 7)
    assert session.receive('2["foo"]') == Event("/", "foo", [])
    with pytest.raises(ProtocolError):
        session.receive(b"c")


def test_a_packet_is_dropped_if_its_namespace_closes_before_its_last_attachment() -> None:
    session = opened()
    session.receive('51-["foo",{"_placeholder":true,"num":0}]')
    session.disconnected("/")
    assert session.receive(b"a") is None


def test_text_instead_of_an_attachment_is_a_protocol_error() -> None:
    session = opened()
    session.receive('51-["foo",{"_placeholder":true,"num":0}]')
    with pytest.raises(ProtocolError):
        session.receive('2["foo"]')


def test_an_attachment_without_a_packet_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        opened().receive(b"a")


messages = st.sampled_from(
    ["0", "0/a", "1", "1/a", '2["x"]', '2/a,["x"]', "31[]", '51-["x",{"_placeholder":true,"num":0}]', b"a", "", "9"]
) | (st.text(max_size=20) | st.binary(max_size=20))
answers = st.sampled_from(["connected", "disconnected", "nothing"])


@given(st.lists(st.tuples(messages, answers, st.sampled_from(["/", "/a"]))))
def test_any_sequence_is_accepted_or_refused(steps: list[tuple[str | bytes, str, str]]) -> None:
    """No handler receives a packet of a namespace that is not open, for any client input."""
    session = SocketIOSession(LIMITS)
    asked: set[str] = set()
    opened: set[str] = set()
    for message, answer, namespace in steps:
        try:
            packet = session.receive(message)
        except ProtocolError:
            return
        if isinstance(packet, Connect):
            assert packet.namespace not in asked | opened
            asked.add(packet.namespace)
        elif isinstance(packet, Disconnect):
            assert packet.namespace in asked | opened
            asked.discard(packet.namespace)
            opened.discard(packet.namespace)
        elif packet is not None:
            assert packet.namespace in opened
        if answer == "connected":
            session.connected(namespace)
            opened |= asked & {namespace}
            asked.discard(namespace)
        elif answer == "disconnected":
            session.disconnected(namespace)
            asked.discard(namespace)
            opened.discard(namespace)
        assert set(session.namespaces) == asked | opened


def test_a_packet_and_its_attachments_are_one_message_to_the_limit() -> None:
    packet = '52-["foo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    session = opened(limits=dataclasses.replace(LIMITS, message_bytes=len(packet) + 10))
    session.receive(packet)
    session.receive(b"12345")
    assert session.receive(b"67890") == Event("/", "foo", [b"12345", b"67890"])
    session.receive(packet)
    session.receive(b"12345")
    with pytest.raises(ProtocolError, match="over the limit"):
        session.receive(b"678901")
