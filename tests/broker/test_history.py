"""What history keeps while it is only appended to. Reads are tested by the contract of the brokers."""

from __future__ import annotations

import gc

import pytest

from asgi_realtime.broker.history import ENTRY_BYTES, History
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Publication, ToRoom


def to_room(room: str = "room") -> Publication:
    return Publication(gateway=GatewayName("/"), target=ToRoom(RoomName(room)), event="event")


def test_publications_expire_although_history_is_not_read() -> None:
    history = History(size=100, ttl=10.0, limit=1_000_000)
    kept = []
    for second in range(30):
        history.append(to_room(), float(second))
        kept.append(len(history))
    assert kept == [*range(1, 11), *[10] * 20]


def test_publications_expire_after_a_pause_and_after_the_oldest_were_removed_for_another_reason() -> None:
    history = History(size=2, ttl=10.0, limit=1_000_000)
    history.trim(0.0)
    for second in (0.0, 1.0, 2.0):  # the first is one too many for its room
        history.append(to_room(), second)
    history.append(to_room("other"), 3.0)
    assert len(history) == 3
    history.append(to_room("other"), 11.5)
    assert len(history) == 3, "the second, from 1.0, has expired"
    history.append(to_room("third"), 12.0)
    assert len(history) == 3, "the third, from 2.0, has expired"
    history.append(to_room("third"), 100.0)
    assert len(history) == 1


@pytest.mark.parametrize("attachments", [(), (b"x" * 500, b"y" * 500)])
def test_bytes_are_bounded_although_history_is_not_read(attachments: tuple[bytes, ...]) -> None:
    history = History(size=100, ttl=10.0, limit=10 * (ENTRY_BYTES + 1_000))
    for number in range(50):
        event = Publication(
            gateway=GatewayName("/"),
            target=ToRoom(RoomName(f"room{number % 7}")),
            event="event",
            payload=b"1" * (1_000 - sum(map(len, attachments))),
            attachments=attachments,
        )
        history.append(event, 1.0)
    assert (len(history), history.kept_bytes) == (10, 10 * (ENTRY_BYTES + 1_000))


def test_the_garbage_collector_does_not_look_at_publications() -> None:
    history = History(size=10_000, ttl=10.0, limit=1_000_000_000)
    history.append(to_room(), 1.0)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5_000):
        history.append(to_room(), 1.0)
    gc.collect()
    assert len(gc.get_objects()) - before < 500
