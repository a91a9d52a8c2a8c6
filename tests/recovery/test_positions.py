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
from tests.support.clock import Clock


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


def gateway(newest: int) -> GatewayPositions:
    positions = GatewayPositions(SocketIODialect("/"), answer_has_position=False)
    positions.start(Position(f"e-{newest}"))
    return positions


async def test_a_gateway_knows_what_was_delivered_before_a_time() -> None:
    positions = gateway(0)
    assert positions.at(0.0) is None
    loop = asyncio.get_running_loop()
    clock, began = Clock(loop), loop.time()
    for number in range(1, 100):
        positions.advance(Position(f"e-{number}"))
        await clock.pass_time(1.0, steps=1)
    assert positions.newest == "e-99"
    for seconds in (1.0, 3.0, 50.0, 98.9):
        found = positions.at(began + seconds)
        assert found is not None
        assert seconds - 7 <= int(found[2:]) <= seconds
    assert positions.at(began - 0.5) is None


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
