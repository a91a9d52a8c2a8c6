"""The queue of a client."""

from __future__ import annotations

import asyncio

import pytest

from asgi_realtime.client import Closed, Connected, Event, Missed, Reconnection
from asgi_realtime.client.address import address
from asgi_realtime.client.received_events import ReceivedEvents


class Said(Event[str]):
    name = "said"


class Left(Event[None]):
    name = "left"


async def test_expected_events_are_taken_and_others_stay_in_order() -> None:
    events = ReceivedEvents(9)
    for event in (Said("a"), Left(None), Said("b")):
        events.put(event)
    assert await events.take(Said, lambda text: text == "b", 1) == "b"
    await events.take(Left, None, 1)
    assert await events.next() == Said("a")


async def test_several_tasks_may_wait_at_once() -> None:
    events = ReceivedEvents(9)
    async with asyncio.TaskGroup() as group:
        left = group.create_task(events.take(Left, None, 5))
        said = [group.create_task(events.take(Said, None, 5)) for _ in range(2)]
        await asyncio.sleep(0)  # all three wait
        for event in (Said("a"), Left(None), Said("b")):
            events.put(event)
    assert left.done() and sorted(task.result() for task in said) == ["a", "b"]


async def test_a_dropped_connection_is_told_and_is_recovered_only_if_all_were() -> None:
    events = ReceivedEvents(1)
    for event in (Connected(True), Connected(False), Connected(True), Said("a"), Said("b")):
        events.put(event)
    assert [await events.next() for _ in range(3)] == [Missed(1), Connected(False), Said("b")]
    for each in (Connected(True), Said("c")):
        events.put(each)
    assert [await events.next() for _ in range(2)] == [Connected(True), Said("c")]


async def test_after_the_end_the_rest_is_given_and_then_the_error() -> None:
    events = ReceivedEvents(9)
    events.put(Said("a"))
    events.end(Closed(1008, "kicked"))
    events.end(None)  # when the program leaves its `async with`
    assert await events.next() == Said("a")
    for _ in range(2):
        with pytest.raises(Closed):
            await events.next()
        with pytest.raises(Closed):
            await events.take(Said, None, 1)


def test_delays_grow_to_the_longest_one() -> None:
    reconnection = Reconnection(first_delay=1, longest_delay=10, attempts=50)
    for earlier, longest in ((0, 1), (1, 2), (3, 8), (4, 10), (49, 10)):
        delay = reconnection.delay(earlier)
        assert delay is not None and longest / 2 <= delay <= longest
    assert reconnection.delay(50) is None


@pytest.mark.parametrize(
    ("url", "scheme", "expected"),
    [
        ("https://example.com", "ws", "wss://example.com/chat"),
        ("ws://localhost:8000/mounted/", "http", "http://localhost:8000/mounted/chat"),
        ("wss://example.com", "http", "https://example.com/chat"),
    ],
)
def test_addresses(url: str, scheme: str, expected: str) -> None:
    assert address(url, "ws" if scheme == "ws" else "http", "/chat") == expected
