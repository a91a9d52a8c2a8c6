"""What `tail` keeps for a slow output, and how it writes events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_realtime.cli.tail_lines import TextLines, json_lines
from asgi_realtime.cli.tail_receiver import AT_ONCE, BYTES_AT_ONCE, EVENT_BYTES, Entry, Missed, Seen, TailReceiver
from asgi_realtime.values.commands import EndAll, EndRevoked
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import (
    Position,
    Publication,
    Subscription,
    Target,
    ToAll,
    ToRoom,
    ToRooms,
    ToUsers,
)

GATEWAY = GatewayName("/")
LOBBY = ToRoom(RoomName("lobby"))


def event(name: str, payload: bytes = b"", target: Target = LOBBY, **options: Any) -> Publication:
    return Publication(gateway=GATEWAY, target=target, event=name, payload=payload, **options)


def names(entries: list[Entry]) -> list[str | int]:
    """The names of events, and the numbers of those that were skipped."""
    return [entry.publication.event if isinstance(entry, Seen) else entry.skipped for entry in entries]


async def test_what_does_not_fit_is_counted_in_its_place() -> None:
    receiver = TailReceiver((), most_bytes=2 * EVENT_BYTES)
    for name in "abcde":
        receiver.deliver(event(name))
    assert names(await receiver.take()) == ["a", "b", 3]
    for name in "fghi":
        receiver.deliver(event(name))
    assert names(await receiver.take()) == ["f", "g", 2]


async def test_a_larger_event_than_the_limit_is_kept_if_it_is_alone() -> None:
    receiver = TailReceiver((), most_bytes=1_000)
    receiver.deliver(event("big", b"x" * 5_000))
    receiver.deliver(event("small"))
    assert names(await receiver.take()) == ["big", 1]


async def test_events_are_taken_in_steps() -> None:
    receiver = TailReceiver(())
    for number in range(AT_ONCE + 1):
        receiver.deliver(event(str(number)))
    assert [len(await receiver.take()) for _ in range(2)] == [AT_ONCE, 1]
    for name in "ab":
        receiver.deliver(event(name, b"x" * BYTES_AT_ONCE))
    assert [names(await receiver.take()) for _ in range(2)] == [["a"], ["b"]]
    receiver.wake()
    assert await receiver.take() == []


async def test_only_wanted_events_are_kept() -> None:
    receiver = TailReceiver(("news",))
    for name in ("other", "news"):
        receiver.deliver(event(name))
    assert names(await receiver.take()) == ["news"]


async def test_lost_history_is_an_entry() -> None:
    receiver = TailReceiver(())
    receiver.resync(GATEWAY, [Subscription(GATEWAY, LOBBY)])
    receiver.resync(GATEWAY, None)
    receiver.apply(EndRevoked(), None)
    receiver.apply(EndAll(None), None)
    found = await receiver.take()
    assert [(entry.gateway, entry.targets) for entry in found if isinstance(entry, Missed)] == [
        ("/", [LOBBY]),
        ("/", None),
        (None, None),
    ]
    first, second, third = (line.split("  ", 1)[1] for line in TextLines(gateways=False).of(found).splitlines())
    assert first == "missed: perhaps events to room lobby of /, because history in Redis does not reach back"
    assert second == "missed: perhaps events of /, because history in Redis does not reach back"
    assert third == "missed: perhaps events, because history in Redis does not reach back"
    assert [json.loads(line)["to"] for line in json_lines(found).splitlines()] == [[{"rooms": ["lobby"]}], None, None]


USERS = ToUsers(tuple(map(UserId, "abcde")))


@pytest.mark.parametrize(
    ("target", "text", "value"),
    [
        (LOBBY, "room lobby", {"rooms": ["lobby"]}),
        (ToRooms((RoomName("a"), RoomName("b"))), "rooms a, b", {"rooms": ["a", "b"]}),
        (ToUsers((UserId("ann"),)), "user ann", {"users": ["ann"]}),
        (USERS, "users a, b, c and 2 more", {"users": ["a", "b", "c", "d", "e"]}),
        (ToAll(), "all", {"all": True}),
    ],
)
def test_a_target_is_named(target: Target, text: str, value: object) -> None:
    seen = Seen(event("news", b"7", target), 1_795_943_702.5)
    assert TextLines(gateways=False).of([seen]) == f"09:15:02.500  news  {text}  7\n"
    found = json.loads(json_lines([seen]))
    assert (found["to"], found["time"], found["position"]) == (value, "2026-11-29T09:15:02.500000Z", None)


def test_columns_are_aligned_and_attachments_are_counted() -> None:
    position = Position("8f3b51a6-1795943702118324")
    one = Seen(event("n", b'{"_placeholder":true,"num":0}', attachments=(b"12", b"345"), position=position), 0.0)
    lines = TextLines(gateways=True)
    assert lines.of([Seen(event("longer"), 0.0), one]) == (
        "00:00:00.000  longer  room lobby of /\n"
        '09:15:02.118  n       room lobby of /  {"_placeholder":true,"num":0} + 5 bytes in attachments\n'
    )
    found = json.loads(json_lines([one]))
    assert (found["attachments"], found["position"], found["time"]) == ([2, 3], position, "2026-11-29T09:15:02.118324Z")


async def test_what_was_shown_from_history_is_left_out() -> None:
    receiver = TailReceiver(())
    for name, position in (("a", "e-1"), ("b", "e-2"), ("volatile", None), ("c", "e-3"), ("other history", "f-1")):
        receiver.deliver(event(name, position=position))
    receiver.leave_out(Position("e-2"))
    assert names(await receiver.take()) == ["volatile", "c", "other history"]
