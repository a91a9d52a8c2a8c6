"""The positions of connections and in frames."""

from __future__ import annotations

import asyncio

import pytest

from asgi_realtime.connection.positions import ConnectionPositions, GatewayPositions
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.positions import ends_with_text
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ('42["ready"]', True),
        ('42["said","hello"]', True),
        ('42/chat,["said","hello"]', True),
        ('451-["file",{"_placeholder":true,"num":0},"name"]', True),
        ('451-/chat,["file",{"_placeholder":true,"num":0},"name"]', True),
        ('42["said",{"text":"hello"}]', False),
        ('42["said",["hello"]]', False),
        ('42["said",null]', False),
        ('427["asked","hello"]', False),  # the client's last argument is the acknowledgement
        ('42/chat,7["asked","hello"]', False),
        ('437["answer"]', False),
        ("41", False),
        ('40{"sid":"x"}', False),
    ],
)
def test_which_frames_a_client_takes_a_position_from(text: str, takes: bool) -> None:
    assert ends_with_text(Frame(text)) is takes


def test_a_position_is_the_last_argument() -> None:
    with_position, position = SocketIODialect("/").with_position, Position("e-1")
    assert with_position(Frame('42["ready"]'), position).messages == ('42["ready","e-1"]',)
    frame = Frame('451-["file",{"_placeholder":true,"num":0}]', b"content")
    assert with_position(frame, position).messages == ('451-["file",{"_placeholder":true,"num":0},"e-1"]', b"content")


def gateway(newest: int, mark_every: float = 5.0) -> GatewayPositions:
    positions = GatewayPositions(SocketIODialect("/"), answer_has_position=False, mark_every=mark_every)
    positions.start(Position(f"e-{newest}"))
    return positions


async def test_a_gateway_knows_what_was_delivered_before_a_time() -> None:
    positions = gateway(0, mark_every=0.01)
    assert positions.at(0.0) is None
    loop = asyncio.get_running_loop()
    began, delivered = loop.time(), [0.0]
    while loop.time() < began + 0.3:
        positions.advance(Position(f"e-{len(delivered)}"))
        delivered.append(loop.time())
        await asyncio.sleep(0)
    assert positions.newest == f"e-{len(delivered) - 1}"
    assert positions.at(began - 1) is None
    for part in (0.1, 0.5, 0.9, 1.0):
        time = delivered[int(part * (len(delivered) - 1))]
        found = positions.at(time)
        assert found is not None
        assert delivered[int(found[2:])] <= time
    newest = positions.at(loop.time())
    assert newest is not None
    assert int(newest[2:]) > len(delivered) // 2


async def test_rooms_that_were_entered_later_have_their_own_positions() -> None:
    shared = gateway(5)
    own = ConnectionPositions(shared, "")
    lobby, room = RoomName("lobby"), RoomName("room")
    own.enter(lobby)
    shared.advance(Position("e-6"))
    own.enter(room)
    assert (own.since, own.entered) == ("e-5", {room: "e-6"})
    own.leave((room, lobby))
    assert own.entered == {}


async def test_events_to_one_client_have_the_position_that_its_client_would_look_for() -> None:
    shared = gateway(5)
    own = ConnectionPositions(shared, "")
    text, number = Frame('42["n","text"]'), Frame('42["n",1]')
    shared.advance(Position("e-6"))
    assert own.own(text) is text  # broadcasts from before it are still to be written
    assert [frame.messages for frame in own.opening([text, number])] == [('42["n","text","e-5"]',), number.messages]
    assert own.own(text).messages == ('42["n","text","e-6"]',)
    assert own.own(number) is number
