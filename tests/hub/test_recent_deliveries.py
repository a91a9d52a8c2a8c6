"""What was delivered to a room since a moment."""

from __future__ import annotations

from asgi_realtime.hub.recent_deliveries import RecentDeliveries
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, Target, ToAll, ToRoom, ToRooms

ROOM, OTHER = RoomName("room"), RoomName("other")
TO_ROOM = ToRoom(ROOM)


def note(recent: RecentDeliveries, position: str | None, target: Target = TO_ROOM) -> None:
    recent.note(
        Publication(
            gateway=GatewayName("/"),
            target=target,
            event="e",
            position=None if position is None else Position(position),
        )
    )


def test_each_reader_knows_what_came_since_it_began() -> None:
    recent = RecentDeliveries()
    note(recent, "0")
    with recent.since_now(ROOM) as first:
        note(recent, "1")
        with recent.since_now(ROOM) as second:
            note(recent, "2", ToRooms((OTHER, ROOM)))
            note(recent, "3", ToRoom(OTHER))
            note(recent, "4", ToAll())
            note(recent, None)
            assert first.positions == {"1", "2"}
            assert second.positions == {"2"}
        note(recent, "5")
        assert first.positions == {"1", "2", "5"}


def test_only_what_is_needed_is_kept() -> None:
    recent = RecentDeliveries()
    first = recent.since_now(ROOM)
    first.__enter__()
    note(recent, "1")
    second = recent.since_now(ROOM)
    later = second.__enter__()
    note(recent, "2")
    first.__exit__(None, None, None)
    assert list(recent.logs[ROOM].positions) == ["2"]
    note(recent, "3")
    assert later.positions == {"2", "3"}
    second.__exit__(None, None, None)
    assert recent.logs == {}
