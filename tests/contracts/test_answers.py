"""The contract of answers: one set of tests, run with each implementation."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest

from asgi_realtime.answers import Answers, EventKey, MemoryAnswers
from asgi_realtime.answers.redis import RedisAnswers
from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.limits import Limits
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, UserId
from tests.support.redis_places import LONG_PLACES, PLACES, RedisPlaces
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess as RedisServerProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
ANN, BOB = UserId("ann"), UserId("bob")


def key(number: int | str, user: UserId = ANN, event: str = "order") -> EventKey:
    return EventKey(user, event, str(number))


class Process(Protocol):
    """One process of the application."""

    def answers(self, limits: Limits, gateway: GatewayName = GATEWAY) -> Answers: ...


class Environment(Protocol):
    """Starts processes, and moves their clock."""

    def process(self) -> contextlib.AbstractAsyncContextManager[Process]: ...

    async def pass_time(self, seconds: float) -> None: ...

    def limits(
        self, *, ttl: float = 300.0, answers: int = 1_000, most_bytes: int = 1_000_000, timeout: float = 30.0
    ) -> Limits: ...


class Memory:
    """One process without Redis, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    @contextlib.asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        yield self

    def answers(self, limits: Limits, gateway: GatewayName = GATEWAY) -> Answers:
        return MemoryAnswers(limits, clock=lambda: self.now)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def limits(
        self, *, ttl: float = 300.0, answers: int = 1_000, most_bytes: int = 1_000_000, timeout: float = 30.0
    ) -> Limits:
        return Limits(once_ttl=ttl, once_answers=answers, once_bytes=most_bytes, handler_timeout=timeout)


class RedisEnvironment:
    """Processes with a Redis. Time is 100 times as fast, because Redis has its own clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._prefix = f"test-{secrets.token_hex(4)}"

    @contextlib.asynccontextmanager
    async def process(self, *, local: bool = False) -> AsyncIterator[RedisProcess]:
        broker = RedisBroker(RedisServer(self.url), prefix=self._prefix, timeout=10.0)
        await broker.start(NoConnections())
        try:
            yield RedisProcess(broker, local=local)
        finally:
            await broker.stop()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)

    def lose_data(self, server: RedisServerProcess) -> None:
        """Remove all keys of these processes."""
        with server.client() as client:
            client.delete(*client.scan_iter(f"{self._prefix}:*"))

    def limits(
        self, *, ttl: float = 300.0, answers: int = 1_000, most_bytes: int = 1_000_000, timeout: float = 3_000.0
    ) -> Limits:
        return Limits(once_ttl=ttl / 100, once_answers=answers, once_bytes=most_bytes, handler_timeout=timeout / 100)


class RedisProcess:
    def __init__(self, broker: RedisBroker, *, local: bool) -> None:
        self.broker = broker
        self._local = local

    def answers(self, limits: Limits, gateway: GatewayName = GATEWAY) -> Answers:
        return RedisAnswers(self.broker.links, gateway, limits, timeout=10.0, local=self._local)


@pytest.fixture(params=["memory", *PLACES])
def environment(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> Iterator[Environment]:
    if request.param == "memory":
        yield Memory()
        return
    place = redis_places(request.param)
    place.denied()
    yield RedisEnvironment(place.url)
    assert place.denied() == []


async def handled(answers: Answers, of: EventKey, answer: bytes) -> None:
    assert await answers.claim(of) is None
    await answers.keep(of, answer)


async def test_an_answer_is_returned_for_the_same_user_event_and_id_alone(environment: Environment) -> None:
    async with environment.process() as process:
        answers = process.answers(environment.limits())
        await handled(answers, key(1), b"\0\xffany bytes")
        assert [await answers.claim(key(1)) for _ in range(2)] == [b"\0\xffany bytes"] * 2
        for other in (key(2), key(1, BOB), key(1, event="cancel"), key("r1", event="orde"), key("1:order1")):
            await handled(answers, other, b"another")
        assert await answers.claim(key(1)) == b"\0\xffany bytes"
        assert await process.answers(environment.limits(), GatewayName("/other")).claim(key(1)) is None


async def test_an_event_that_was_released_is_handled_again(environment: Environment) -> None:
    async with environment.process() as process:
        answers = process.answers(environment.limits())
        for _ in range(2):
            assert await answers.claim(key(1)) is None
            answers.release(key(1))
        await handled(answers, key(1), b"a")
        assert await answers.claim(key(1)) == b"a"


async def test_an_answer_is_kept_for_its_time(environment: Environment) -> None:
    async with environment.process() as process:
        answers = process.answers(environment.limits(ttl=30.0))
        await handled(answers, key(1), b"a")
        await environment.pass_time(31.0)
        await handled(answers, key(1), b"b")
        assert await answers.claim(key(1)) == b"b"


async def test_the_oldest_answers_of_a_user_are_removed(environment: Environment) -> None:
    async with environment.process() as process:
        answers = process.answers(environment.limits(answers=3))
        await handled(answers, key(0, BOB), b"bob's")
        for number in range(5):
            await handled(answers, key(number), b"%d" % number)
        assert [await answers.claim(key(number)) for number in (2, 3, 4)] == [b"2", b"3", b"4"]
        assert await answers.claim(key(0, BOB)) == b"bob's"
        assert await answers.claim(key(1)) is None


@pytest.mark.parametrize("size", [10, 100])
async def test_the_bytes_of_a_user_are_limited_but_the_newest_answer_is_kept(
    environment: Environment, size: int
) -> None:
    async with environment.process() as process:
        answers = process.answers(environment.limits(most_bytes=35))
        for number in range(12):
            await handled(answers, key(number), b"%d" % (number % 10) * size)
        known = [number for number in range(12) if await answers.claim(key(number)) is not None]
        assert known == ([9, 10, 11] if size == 10 else [11])


@pytest.fixture(params=LONG_PLACES)
def redis(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> RedisEnvironment:
    return RedisEnvironment(redis_places(request.param).url)


async def test_another_process_waits_for_the_answer(redis: RedisEnvironment) -> None:
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(redis.limits()), other.answers(redis.limits())
        assert await first.claim(key(1)) is None
        again = asyncio.ensure_future(second.claim(key(1)))
        await handled(second, key(2), b"later in the same order")
        assert not again.done()
        await first.keep(key(1), b"a")
        assert await asyncio.wait_for(again, 10) == b"a"
        assert await second.claim(key(1)) == b"a"


async def test_another_process_handles_what_was_released(redis: RedisEnvironment) -> None:
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(redis.limits()), other.answers(redis.limits())
        assert await first.claim(key(1)) is None
        again = asyncio.ensure_future(second.claim(key(1)))
        first.release(key(1))
        assert await asyncio.wait_for(again, 10) is None
        await second.keep(key(1), b"b")
        assert await first.claim(key(1)) == b"b"


async def test_the_claim_of_a_process_that_died_ends(redis: RedisEnvironment) -> None:
    limits = redis.limits(timeout=10.0)
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(limits), other.answers(limits)
        assert await first.claim(key(1)) is None
        assert await asyncio.wait_for(second.claim(key(1)), 10) is None
        await second.keep(key(1), b"b")
        await first.keep(key(1), b"too late")
        assert [await each.claim(key(1)) for each in (first, second)] == [b"b", b"b"]


async def test_of_two_calls_that_claimed_an_event_the_first_answer_is_kept(redis: RedisEnvironment) -> None:
    limits = redis.limits(timeout=10.0)
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(limits), other.answers(limits)
        for number in (1, 2):
            assert await first.claim(key(number)) is None
            assert await asyncio.wait_for(second.claim(key(number)), 10) is None
            await first.keep(key(number), b"late, but the first")
        await second.keep(key(1), b"b")
        second.release(key(2))
        for number in (1, 2):
            assert [await each.claim(key(number)) for each in (first, second)] == [b"late, but the first"] * 2


async def test_an_answer_is_kept_although_redis_has_lost_the_claim(redis_process: RedisServerProcess) -> None:
    redis = RedisEnvironment(redis_process.url)
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(redis.limits()), other.answers(redis.limits())
        assert await first.claim(key(1)) is None
        redis.lose_data(redis_process)
        await first.keep(key(1), b"a")
        assert [await each.claim(key(1)) for each in (first, second)] == [b"a", b"a"]


async def test_the_limits_remove_no_claim_of_a_handler_that_runs(redis: RedisEnvironment) -> None:
    limits = redis.limits(answers=3, most_bytes=35)
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(limits), other.answers(limits)
        assert await first.claim(key(1)) is None
        for number in range(2, 7):
            await handled(second, key(number), b"x" * 10)
        again = asyncio.ensure_future(second.claim(key(1)))
        assert [await first.claim(key(number)) for number in (5, 6)] == [b"x" * 10] * 2
        assert await first.claim(key(4)) is None, "claims count too"
        await first.keep(key(1), b"a")
        assert await asyncio.wait_for(again, 10) == b"a"


async def test_a_cancelled_claim_is_no_claim(redis: RedisEnvironment) -> None:
    async with redis.process() as one, redis.process() as other:
        first, second = one.answers(redis.limits()), other.answers(redis.limits())
        claiming = asyncio.ensure_future(first.claim(key(1)))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait([claiming])
        assert await asyncio.wait_for(second.claim(key(1)), 10) is None


async def test_each_event_is_handled_once_although_connections_to_redis_are_lost(
    redis_places: RedisPlaces,
) -> None:
    place = redis_places("socket")
    redis = RedisEnvironment(place.url)
    events = [key(number) for number in range(40)]
    handled_by: list[tuple[EventKey, int]] = []

    async def handle(process: int, answers: Answers, of: EventKey) -> bytes:
        answer = await answers.claim(of)
        if answer is None:
            handled_by.append((of, process))
            await asyncio.sleep(0)
            answer = f"{of.id} by {process}".encode()
            await answers.keep(of, answer)
        return answer

    async def cut() -> None:
        for number in range(5):
            await until(lambda: len(handled_by) >= number * 8)  # noqa: B023
            place.kill_connections()

    async with redis.process() as one, redis.process() as other:
        both = [each.answers(redis.limits()) for each in (one, other)]
        cutting = asyncio.ensure_future(cut())
        for some in (events[:10], events[10:20], events[20:30], events[30:]):
            answers = await asyncio.gather(
                *[handle(number, each, of) for of in some for number, each in enumerate(both)]
            )
            assert answers[::2] == answers[1::2]
        await cutting
    assert sorted(of for of, _ in handled_by) == sorted(events)


@pytest.mark.parametrize("local", [False, True])
async def test_without_redis_an_event_is_refused_or_known_in_this_process(
    redis_places: RedisPlaces, local: bool
) -> None:
    redis = RedisEnvironment(redis_places("socket").url)
    async with redis.process(local=local) as process:
        answers = process.answers(redis.limits())
        assert await answers.claim(key(1)) is None
    # It has stopped, so Redis is away.
    await answers.keep(key(1), b"a")
    assert await answers.claim(key(1)) == b"a", "what Redis did not take is kept here"
    if local:
        await handled(answers, key(2), b"b")
        assert await answers.claim(key(2)) == b"b"
    else:
        with pytest.raises(BrokerUnavailable):
            await answers.claim(key(2))


async def test_an_answer_is_known_in_this_process_if_the_call_that_keeps_it_is_cancelled(
    redis_process: RedisServerProcess,
) -> None:
    async with redis_proxy(redis_process.socket) as proxy:
        redis = RedisEnvironment(proxy.url)
        async with redis.process() as process:
            answers = process.answers(redis.limits(timeout=10.0))
            assert await answers.claim(key(1)) is None
            proxy.dropping = True
            keeping = asyncio.ensure_future(answers.keep(key(1), b"a"))
            await until(lambda: proxy.dropped)
            keeping.cancel()
            await asyncio.wait([keeping])
            assert keeping.cancelled()
            proxy.dropping = False
            proxy.cut()
            assert await answers.claim(key(1)) == b"a"


async def test_memory_for_all_users_is_limited() -> None:
    answers = MemoryAnswers(Limits(), most_bytes=10_000)
    for number in range(100):
        await handled(answers, key(1, UserId(f"user {number}")), b"x" * 1_000)
    assert 1 < len(answers) < 10
    assert await answers.claim(key(1, UserId("user 99"))) == b"x" * 1_000
