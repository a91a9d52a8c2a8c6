"""`Connection`: which frames are written to a client, and when."""

from __future__ import annotations

import pytest

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.values.ids import RoomName
from tests.support.recording import World


def frame(name: str, size: int = 0) -> Frame:
    return Frame('{"type":"' + name + '"}' + " " * size)


async def test_held_frames_are_written_after_the_answer_to_connect() -> None:
    world = World()
    connection, transport = world.admit()
    connection.hold()
    await connection.public.join("a")
    connection.push(frame("room a"), (RoomName("a"),))
    await connection.public.send("first")
    connection.push(frame("all"), ())
    await connection.public.send("second")
    assert transport.written == []
    connection.open(Frame("ACCEPTED"))
    assert transport.events == ["ACCEPTED", "first", "second", "room a", "all"]
    await connection.public.send("later")
    assert transport.events[-1] == "later"


async def test_a_broadcast_to_a_room_left_while_held_is_dropped() -> None:
    world = World()
    connection, transport = world.admit()
    await connection.public.join("a")
    await connection.public.join("b")
    connection.hold()
    connection.hold()
    for room in ("a", "b"):
        connection.push(frame(room), (RoomName(room),))
    connection.push(frame("a and b"), (RoomName("a"), RoomName("b")))
    connection.push(frame("a and c"), (RoomName("a"), RoomName("c")))
    await connection.public.leave("a")
    connection.release()
    assert transport.written == []
    connection.release()
    assert transport.events == ["b", "a and b"]


async def test_nothing_is_written_after_the_end() -> None:
    world = World()
    for held in (False, True):
        connection, transport = world.admit()
        if held:
            connection.hold()
        await connection.public.close(1008, "out")
        await connection.public.close(1000, "again")
        connection.push(frame("broadcast"), ())
        await connection.public.send("event")
        if held:
            connection.open(Frame("ACCEPTED"))
        connection.hold()
        await connection.public.send("event")
        connection.release()
        assert transport.written == []
        assert transport.closes == [(1008, "out")]


async def test_held_frames_are_bounded() -> None:
    world = World(Limits(outbox_bytes=1000))
    connection, transport = world.admit()
    connection.hold()
    connection.push(frame("a", 600), ())
    assert not connection.closed
    connection.push(frame("b", 600), ())
    assert transport.closes == [(1013, "too slow")]
    connection.release()
    assert transport.written == []


async def test_what_was_written_does_not_count_as_held() -> None:
    world = World(Limits(outbox_bytes=1000))
    connection, transport = world.admit()
    connection.hold()
    connection.hold()
    connection.push(frame("own", 600))
    connection.open(Frame("ACCEPTED"))
    assert transport.events == ["ACCEPTED", "own"]
    connection.push(frame("all", 600), ())
    connection.release()
    assert transport.events == ["ACCEPTED", "own", "all"]


async def test_a_frame_that_is_inserted_counts_as_held() -> None:
    world = World(Limits(outbox_bytes=1000))
    connection, transport = world.admit()
    latest = frame("latest", 600)
    connection.insert([latest], connection.hold(), None, unless=latest)
    connection.push(frame("all", 600), ())
    assert transport.closes == [(1013, "too slow")]


async def test_the_number_and_names_of_rooms_are_bounded() -> None:
    world = World(Limits(rooms_per_connection=2, room_name_bytes=5))
    connection, _ = world.admit()
    await connection.public.join("a")
    await connection.public.join("b")
    await connection.public.join("b")
    for room in ("c", "", "much too long", "a\nb", "\ud800"):
        with pytest.raises(InvalidMessage):
            await connection.public.join(room)
    assert connection.rooms == {"a", "b"}


async def test_a_payload_that_cannot_be_encoded_is_the_callers_error() -> None:
    connection, transport = World().admit()
    with pytest.raises(TypeError):
        await connection.public.send("event", object())
    with pytest.raises(TypeError):
        await connection.public.send("event", b"bytes have no place in JSON frames")
    assert transport.written == []
    assert "ann" in repr(connection)
