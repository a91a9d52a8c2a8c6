"""The time limits on the body of a POST. The tests move the clock."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from asgi_realtime.limits import Limits
from asgi_realtime.transports.engineio.body import read_body
from asgi_realtime.transports.engineio.responses import ClientGone, HTTPRefusal

LIMITS = Limits(message_bytes=10_000, body_timeout=10.0, body_rate=100.0)


class Clock:
    """Moves the time of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.passed = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self.passed)


class Body:
    """A body in pieces, each after some seconds. The piece None never arrives."""

    def __init__(self, clock: Clock, *pieces: tuple[float, int | None]) -> None:
        self._clock = clock
        self._pieces = list(pieces)

    async def receive(self) -> Message:
        seconds, size = self._pieces.pop(0)
        self._clock.passed += seconds
        # Due timers are called in the next turn of the loop, and the wait ends in the turn after it.
        for _ in range(3):
            await asyncio.sleep(0)
        if size is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"x" * (size or 0), "more_body": bool(self._pieces)}


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


IN_TIME: dict[str, list[tuple[float, int | None]]] = {
    "at once": [(0, 10_000)],
    "nothing": [(0, 0)],
    "just in time": [(9.9, 1)],
    "slow, at the rate": [(1, 100)] * 100,
    "twice as slow as the rate, but short": [(1, 50)] * 18,
    "a pause after a fast start": [(0, 5_000), (9.9, 5_000)],
}
LATE: dict[str, list[tuple[float, int | None]]] = {
    "never a byte": [(10.1, None)],
    "one that is too late": [(10.1, 1)],
    "a stop after a fast start": [(0, 9_000), (10.1, None)],
    "a byte a second": [(1, 1)] * 12,
    "half the rate for long": [(1, 50)] * 21,
}


@pytest.mark.parametrize("name", IN_TIME)
async def test_a_body_that_arrives_in_time_is_read(clock: Clock, name: str) -> None:
    pieces = IN_TIME[name]
    body = await read_body(Body(clock, *pieces).receive, LIMITS, LIMITS.message_bytes)
    assert len(body) == sum(size or 0 for _, size in pieces)


@pytest.mark.parametrize("name", LATE)
async def test_a_body_that_arrives_too_slowly_is_refused(clock: Clock, name: str) -> None:
    with pytest.raises(TimeoutError):
        await read_body(Body(clock, *LATE[name]).receive, LIMITS, LIMITS.message_bytes)


@pytest.mark.parametrize("sizes", [[10_001], [10_000, 1], [5_000, 5_001, 100_000]])
async def test_a_body_that_is_too_large_is_refused(clock: Clock, sizes: list[int]) -> None:
    with pytest.raises(HTTPRefusal) as refused:
        await read_body(Body(clock, *((0.0, size) for size in sizes)).receive, LIMITS, LIMITS.message_bytes)
    assert (refused.value.status, refused.value.hang_up) == (413, True)


async def test_a_body_that_is_too_large_is_discarded_up_to_a_limit() -> None:
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += LIMITS.message_bytes
        assert received < 100 * LIMITS.message_bytes, "it is read without a limit"
        return {"type": "http.request", "body": b"x" * LIMITS.message_bytes, "more_body": True}

    with pytest.raises(HTTPRefusal):
        await read_body(receive, LIMITS, LIMITS.message_bytes)
    assert received <= 20 * LIMITS.message_bytes


async def test_a_client_that_disconnects_ends_the_reading() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        await read_body(receive, LIMITS, LIMITS.message_bytes)
