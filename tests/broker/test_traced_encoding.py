"""The bytes of publications that carry a trace context."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.broker.encoding import decode_publication, encode_publication, origin_of
from asgi_realtime.broker.traced_encoding import decode_traced, encode_traced
from asgi_realtime.tracing.trace_context import TraceContext, pack
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, ReplyTo, Target, ToAll, ToRoom, ToRooms, ToUsers
from asgi_realtime.values.traced_publication import TracedPublication, traced

GATEWAY = GatewayName("/")
TRACE = TraceContext(1, 2, 1, "vendor=value")
PUBLICATIONS = [
    Publication(gateway=GATEWAY, target=target, event="news", payload=b'{"n":1}', position=Position("p-1"))
    for target in (
        ToRoom(RoomName("lobby")),
        ToRooms((RoomName("a"), RoomName("b"))),
        ToUsers((UserId("u1"),)),
        ToUsers((UserId("u1"), UserId("u2"))),
        ToAll(),
    )
] + [
    Publication(
        gateway=GATEWAY,
        target=ToAll(),
        event="",
        attachments=(b"\x00", b"x" * 70_000),
        except_=(ConnectionId("c"),),
        volatile=True,
        reply_to=ReplyTo("node", 3),
    )
]


def decoded(data: bytes, publication: Publication, target: Target | None = None) -> Publication:
    """As a process that traces reads it."""
    return decode_traced(
        data, publication.gateway, target or publication.target, publication.position, publication.volatile
    )


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_without_a_context_the_bytes_are_the_same(publication: Publication) -> None:
    assert encode_traced(publication, "origin") == encode_publication(publication, "origin")
    found = decoded(encode_publication(publication, "origin"), publication)
    assert found == publication
    assert type(found) is Publication


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_a_context_arrives_and_costs_few_bytes(publication: Publication) -> None:
    data = encode_traced(traced(publication, TRACE), "origin")
    found = decoded(data, publication)
    assert isinstance(found, TracedPublication)
    assert (found, found.trace) == (traced(publication, TRACE), TRACE)
    assert origin_of(data) == "origin"
    plain = encode_publication(publication, "origin")
    assert len(data) == len(plain) + 2 + 25 + len(TRACE.state)


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_a_process_that_does_not_trace_ignores_it(publication: Publication) -> None:
    data = encode_traced(traced(publication, TRACE), "origin")
    found = decode_publication(
        data, publication.gateway, publication.target, publication.position, publication.volatile
    )
    assert found == publication
    assert type(found) is Publication


def with_trace(trace: object) -> bytes:
    """The bytes of a publication with anything in the place of its context."""
    elements = msgspec.msgpack.decode(encode_publication(PUBLICATIONS[0], "origin")[1:])
    return b"P" + msgspec.msgpack.encode([*elements, trace])


WRONG: list[object] = [
    None,
    1,
    "00-text",
    [],
    {},
    b"",
    b"x",
    b"\x00" * 25,
    b"x" * 100_000,
    pack(TRACE)[:20],
    [pack(TRACE)],
]


@pytest.mark.parametrize("trace", WRONG, ids=lambda trace: repr(trace)[:20])
def test_a_wrong_context_is_ignored_and_the_publication_delivered(trace: object) -> None:
    assert decoded(with_trace(trace), PUBLICATIONS[0]) == PUBLICATIONS[0]


def test_a_context_with_a_wrong_state_is_without_state() -> None:
    found = decoded(with_trace(pack(TraceContext(1, 2, 1)) + b"\xff=\x00"), PUBLICATIONS[0])
    assert isinstance(found, TracedPublication)
    assert found.trace == TraceContext(1, 2, 1)


@given(st.binary(max_size=60))
def test_other_bytes_raise_the_same_error(data: bytes) -> None:
    try:
        plain: Publication | None = decode_publication(data, GATEWAY, ToAll(), None, True)
    except msgspec.DecodeError:
        plain = None
    try:
        found: Publication | None = decode_traced(data, GATEWAY, ToAll(), None, True)
    except msgspec.DecodeError:
        found = None
    assert found == plain or isinstance(found, TracedPublication)
