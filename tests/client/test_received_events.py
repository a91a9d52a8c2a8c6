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


async def test_what_stands_for_dropped_events_can_be_expected() -> None:
    events = ReceivedEvents(1)
    for event in (Connected(True), Said("a"), Said("b"), Said("c")):
        events.put(event)
    with pytest.raises(TimeoutError):
        await events.take(Missed, lambda missed: missed > 2, 0)
    assert await events.take(Connected, None, 1) is True
    assert await events.take(Missed, None, 1) == 2
    assert await events.next() == Said("c")


def test_a_client_keeps_at_least_one_event() -> None:
    with pytest.raises(ValueError, match="max_events=0"):
        ReceivedEvents(0)


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


async def test_an_error_that_is_raised_often_does_not_grow() -> None:
    events, frames = ReceivedEvents(9), set[int]()
    events.end(Closed(1008, "kicked"))
    for _ in range(3):
        with pytest.raises(Closed) as caught:
            events.check()
        frames.add(len(caught.traceback))
    assert len(frames) == 1


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
def test_the_address_of_a_gateway(url: str, scheme: str, expected: str) -> None:
    assert address(url, "ws" if scheme == "ws" else "http", "/chat") == expected


@pytest.mark.parametrize(
    "url", ["example.com", "ftp://example.com", "http://:80", "http://a:b", "http://a:99999", "http://a/?token=secret"]
)
def test_what_is_no_address_of_a_server_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        address(url, "ws", "/chat")
    assert "secret" not in str(caught.value)
