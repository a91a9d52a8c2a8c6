"""Pipes keep the order of events, and never have more in flight than the window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.transports.engineio.relay.pipe import OVERHEAD, PART, WINDOW, Event, Pipe, PipeEnded
from tests.support.waiting import until

LARGEST = 1_000_000


class Ends:
    """The two ends of a relay, with the messages between them. `delayed`: messages arrive with `arrive`."""

    def __init__(self, *, delayed: bool = False) -> None:
        self._held: list[Callable[[], None]] | None = [] if delayed else None
        self.in_flight = self.most_in_flight = 0
        self.left = Pipe(part=self._part, credit=self._no_credit, largest=LARGEST)
        self.right = Pipe(part=self._part, credit=self._credit, largest=LARGEST)

    def _part(self, kind: str, data: bytes, more: bool) -> None:
        assert len(data) <= PART
        self.in_flight += len(data) + OVERHEAD
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._deliver(lambda: self.right.receive_part(kind, data, more))

    def _credit(self, size: int) -> None:
        self.in_flight -= size
        self._deliver(lambda: self.left.receive_credit(size))

    def _deliver(self, message: Callable[[], None]) -> None:
        if self._held is None:
            message()
        else:
            self._held.append(message)

    def arrive(self) -> None:
        """Deliver the messages that are held, and those that they cause."""
        while self._held:
            self._held.pop(0)()

    def _no_credit(self, size: int) -> None:
        raise AssertionError("nothing is sent to this end")


@given(st.lists(st.integers(0, 400_000), max_size=12))
def test_events_arrive_whole_and_in_order(sizes: list[int]) -> None:
    async def run() -> None:
        ends = Ends()
        events = [Event("t", bytes([number % 256]) * size) for number, size in enumerate(sizes)]

        async def send() -> None:
            for event in events:
                await ends.left.send(*event)

        sending = asyncio.create_task(send())
        assert [await ends.right.receive() for _ in events] == events
        await sending
        assert ends.most_in_flight <= WINDOW

    asyncio.run(run())


async def test_sending_waits_for_the_other_end() -> None:
    ends = Ends()
    data = b"x" * (PART - OVERHEAD)
    for _ in range(WINDOW // PART):
        await ends.left.send("t", data)
    blocked = asyncio.create_task(ends.left.send("t", data))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await asyncio.shield(blocked)
    for _ in range(WINDOW // PART):
        await ends.right.receive()
    await blocked


@pytest.mark.parametrize("kind", ["t", "c"])
async def test_an_event_whose_sending_is_cancelled_leaves_the_next_one_whole(kind: str) -> None:
    ends = Ends(delayed=True)
    sending = asyncio.create_task(ends.left.send("t", b"x" * 2 * WINDOW))
    await until(lambda: ends.in_flight)  # it has sent some parts, and waits for credit
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    ends.arrive()
    next_one = Event(kind, b"y" * 2 * PART)
    await ends.left.send(*next_one)
    ends.arrive()
    assert await ends.right.receive() == next_one
    ends.arrive()
    assert ends.in_flight < WINDOW // 4  # the parts of the cancelled event count no longer


async def test_the_end_wakes_who_sends_and_who_receives() -> None:
    ends = Ends()

    async def send() -> None:
        for _ in range(2 * WINDOW // PART):
            await ends.left.send("t", b"x" * PART)

    receiving = asyncio.create_task(ends.left.receive())
    sending = asyncio.create_task(send())
    await asyncio.sleep(0)
    ends.left.end()
    assert await receiving is None
    with pytest.raises(PipeEnded):
        await sending
    with pytest.raises(PipeEnded):
        await ends.left.send("t", b"")


async def test_what_came_before_the_end_is_received() -> None:
    ends = Ends()
    await ends.left.send("t", b"last words")
    ends.right.end()
    assert await ends.right.receive() == Event("t", b"last words")
    assert await ends.right.receive() is None
    assert await ends.right.receive() is None


def test_an_event_that_is_too_large_is_refused() -> None:
    ends = Ends()
    with pytest.raises(ValueError, match="too large"):
        for _ in range(LARGEST // PART + 1):
            ends.right.receive_part("t", b"x" * PART, True)


def test_an_end_that_does_not_keep_to_the_window_is_refused() -> None:
    ends = Ends()
    with pytest.raises(ValueError, match="too large"):
        for _ in range(1_000):
            ends.right.receive_part("t", b"x" * PART, False)
