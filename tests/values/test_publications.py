"""The shared values: the size and encoding of frames, and what their `repr` hides."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectConnection,
    DisconnectMembers,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
)
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, Target, ToAll, ToRoom, ToRooms, ToUsers

GATEWAY = GatewayName("/")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1e"))


def test_a_frame_is_encoded_once() -> None:
    frame = Frame('42["a"]', b"\x00\xff")
    assert frame.asgi == (
        {"type": "websocket.send", "text": '42["a"]'},
        {"type": "websocket.send", "bytes": b"\x00\xff"},
    )
    assert frame.polling == '42["a"]\x1ebAP8='
    assert frame.asgi is frame.asgi
    assert frame.polling is frame.polling


@given(st.lists(texts | st.binary()))
def test_the_size_of_a_frame_is_its_bytes_on_a_websocket(messages: list[str | bytes]) -> None:
    frame = Frame(*messages)
    assert frame.size == sum(len(m.encode() if isinstance(m, str) else m) for m in messages)


@given(st.lists(texts.map("4".__add__) | st.binary(), min_size=1))
def test_a_polling_payload_gives_the_messages_back(messages: list[str | bytes]) -> None:
    packets = Frame(*messages).polling.split("\x1e")
    assert [base64.b64decode(p[1:]) if p.startswith("b") else p for p in packets] == messages


def test_a_handshake_shows_no_credentials() -> None:
    handshake = Handshake(
        gateway=GATEWAY,
        path="/socket.io/",
        headers={"authorization": "Bearer hunter2", "origin": "https://app.example.com"},
        query={"token": "hunter2"},
        cookies={"mew_access_token": "hunter2"},
        auth={"token": "hunter2"},
        client_address="192.0.2.1",
    )
    assert repr(handshake) == "Handshake(gateway='/', path='/socket.io/', client_address='192.0.2.1')"
    assert str(handshake) == repr(handshake)
    assert handshake.origin == "https://app.example.com"
    assert Handshake(gateway=GATEWAY).origin is None


@pytest.mark.parametrize(
    ("expires_at", "said"),
    [
        (datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), r"not datetime; write expires_at.timestamp\(\)"),
        (datetime.timedelta(hours=1), "not timedelta"),
        ("2030-01-01", "not str"),
        (decimal.Decimal(1), "not Decimal"),
        (True, "not True"),
        (math.nan, "not nan"),
        (2**2000, "not 1148"),
    ],
)
def test_an_expiry_that_no_clock_reaches_is_refused(expires_at: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"expires_at must be a number of seconds since the epoch.*{said}"):
        Identity(user_id="ann", expires_at=expires_at)


@pytest.mark.parametrize("expires_at", [None, 0, -1, 1893456000, 1893456000.5, math.inf])
def test_an_expiry_is_a_number_of_seconds_or_none(expires_at: float | None) -> None:
    assert Identity(user_id="ann", expires_at=expires_at).expires_at == expires_at


@pytest.mark.parametrize("claims", [None, [("sub", "ann")], "sub", 5])
def test_claims_that_are_no_mapping_are_refused(claims: Any) -> None:
    with pytest.raises(TypeError, match="claims must be a mapping"):
        Identity(user_id="ann", claims=claims)


def test_values_are_frozen() -> None:
    identity = Identity(user_id=UserId("u1"))
    with pytest.raises(AttributeError):
        identity.user_id = UserId("u2")  # type: ignore[misc]


@pytest.mark.parametrize(
    "target",
    [
        ToRoom(RoomName("general")),
        ToRooms((RoomName("a"), RoomName("b"))),
        ToUsers((UserId("u1"), UserId("u2"))),
        ToAll(),
    ],
)
def test_a_publication_survives_serialization(target: Target) -> None:
    publication = Publication(
        gateway=GATEWAY,
        target=target,
        event="MESSAGE_CREATE",
        payload=b'{"a":{"_placeholder":true,"num":0}}',
        attachments=(b"\x00\xff",),
        except_=(ConnectionId("c1"),),
        position=Position("p1"),
    )
    packed = msgspec.msgpack.encode(publication)
    assert msgspec.msgpack.decode(packed, type=Publication) == publication


@pytest.mark.parametrize(
    "command",
    [
        AddToRoom(GATEWAY, UserId("u1"), RoomName("c1"), RoomName("s1")),
        RemoveFromRoom(GATEWAY, UserId("u1"), RoomName("c1")),
        CloseRoom(GATEWAY, RoomName("c1")),
        RefreshRooms(GATEWAY, ToRoom(RoomName("s1"))),
        DisconnectUser(None, UserId("u1"), 1008, "logged out"),
        DisconnectMembers(GATEWAY, RoomName("c1"), 1008, "closed"),
        DisconnectConnection(GATEWAY, ConnectionId("x1"), 1008, "out"),
        RevokeToken("j1"),
        RevokeUser(UserId("u1"), 1.5),
    ],
)
def test_a_command_survives_serialization(command: Command) -> None:
    packed = msgspec.msgpack.encode(command)
    decoded: Command = msgspec.msgpack.decode(packed, type=Command)
    assert decoded == command
