"""What was read from history in Redis is not read again for the next client."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.broker.recent_history import MOST_SECONDS, Known, RecentHistory
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import PositionLost
from asgi_realtime.redis.keys import suffixes
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Position, Publication, Target, ToAll, ToRoom, ToRooms, ToUsers
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

CHAT = GatewayName("/")
LOBBY, ATTIC = RoomName("lobby"), RoomName("attic")
ADA = UserId("ada")
IN_LOBBY = ToRoom(LOBBY)
TARGETS: Sequence[Target] = (ToRoom(LOBBY), ToRoom(ATTIC), ToRooms((LOBBY, ATTIC)), ToUsers((ADA,)), ToAll())
EVERYTHING: Sequence[Target] = (ToRoom(LOBBY), ToRoom(ATTIC), ToUsers((ADA,)), ToAll())


@contextlib.asynccontextmanager
async def started(redis_process: RedisProcess, prefix: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(RedisServer(redis_process.url), prefix=prefix, timeout=10.0)
    await broker.start(RecordingReceiver())
    try:
        yield broker
    finally:
        await broker.stop()


@pytest.fixture
async def broker(redis_process: RedisProcess) -> AsyncIterator[RedisBroker]:
    async with started(redis_process, f"test-{secrets.token_hex(4)}") as broker:
        yield broker


def news(number: int, target: Target = IN_LOBBY, payload: bytes = b"{}") -> Publication:
    return Publication(gateway=CHAT, target=target, event=str(number), payload=payload)


def link_of(broker: RedisBroker) -> Link:
    link = broker.links.of(CHAT).current
    assert link is not None
    return link


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.one_of(
            st.sampled_from(TARGETS),
            st.tuples(st.floats(0, 1), st.lists(st.sampled_from(EVERYTHING), min_size=1, unique=True)),
        ),
        max_size=30,
    )
)
async def test_reading_again_and_again_equals_reading_once(
    redis_process: RedisProcess, steps: list[Target | tuple[float, list[Target]]]
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    async with started(redis_process, prefix) as broker, started(redis_process, prefix) as other:
        positions = [await broker.position(CHAT)]
        for step in steps:
            if isinstance(step, tuple):
                place, targets = step
                since = positions[int(place * (len(positions) - 1))]
                async with started(redis_process, prefix) as once:
                    expected = await once.history(CHAT, since, targets)
                assert await broker.history(CHAT, since, targets) == expected
            else:
                receipt = await other.publish(news(len(positions), step))
                assert receipt.position is not None
                positions.append(receipt.position)


async def test_only_what_came_later_is_read_for_the_next_client(
    broker: RedisBroker, redis_process: RedisProcess
) -> None:
    since = await broker.position(CHAT)
    for number in range(50):
        await broker.publish(news(number, payload=b"x" * 2_000))

    def sent() -> int:
        with redis_process.client() as client:
            return int(client.info("stats")["total_net_output_bytes"])

    async def read(since: Position) -> tuple[int, int]:
        before = sent()
        found = await broker.history(CHAT, since, [ToRoom(LOBBY), ToAll()])
        return len(found), sent() - before

    found, size = await read(since)
    assert found == 50
    assert size > 100_000
    assert (await broker.publish(news(50))).position is not None
    found, size = await read(since)
    assert found == 51
    assert size < 20_000  # the answer of INFO is most of it


async def test_what_redis_has_lost_is_not_returned(broker: RedisBroker, redis_process: RedisProcess) -> None:
    since = await broker.position(CHAT)
    receipt = await broker.publish(news(1))
    assert receipt.position is not None
    assert len(await broker.history(CHAT, since, [ToRoom(LOBBY)])) == 1

    number = int(since.rpartition("-")[2])
    with redis_process.client() as client:
        client.hset(broker.links.keys(CHAT).state, "seq", number)  # as after a failover that is not noticed yet
    with pytest.raises(PositionLost):
        await broker.history(CHAT, since, [ToRoom(LOBBY)])


async def test_what_was_read_before_a_new_connection_is_read_again(
    broker: RedisBroker, redis_process: RedisProcess
) -> None:
    since = await broker.position(CHAT)
    await broker.publish(news(1))
    assert len(await broker.history(CHAT, since, [ToRoom(LOBBY)])) == 1

    link, keys = link_of(broker), broker.links.keys(CHAT)
    redis_process.kill_connections()
    await until(lambda: broker.links.of(CHAT).current not in {link, None})
    [suffix] = suffixes(ToRoom(LOBBY))
    with redis_process.client() as client:
        assert client.delete(keys.history(suffix)) == 1
    with pytest.raises(PositionLost):
        await broker.history(CHAT, since, [ToRoom(LOBBY)])


async def test_it_is_used_for_a_few_seconds(broker: RedisBroker) -> None:
    recent, link = RecentHistory(), link_of(broker)
    recent.keep("lobby", link, "epoch", 3, 100.0, Known(7, [5, 6], [news(5), news(6)]))

    def events(start: int, now: float = 100.0) -> tuple[int, list[str]]:
        known = recent.known("lobby", link, "epoch", start, now)
        return known.until, [each.event for each in known.publications]

    assert events(3) == (7, ["5", "6"])
    assert events(5) == (7, ["6"])
    assert events(2) == (2, [])
    assert events(8) == (8, [])
    recent.keep("lobby", link, "epoch", 7, 105.0, Known(9, [8], [news(8)]))
    assert events(3, 109.0) == (9, ["5", "6", "8"])
    assert events(3, 100.0 + MOST_SECONDS) == (3, [])
    assert recent.known("lobby", link, "other epoch", 3, 100.0).publications == []
    assert recent.known("lobby", None, "epoch", 3, 100.0).publications == []


async def test_readers_that_end_in_any_order_add_each_publication_once(broker: RedisBroker) -> None:
    recent, link = RecentHistory(), link_of(broker)
    for last, numbers in ((7, [5, 6]), (9, [5, 6, 8]), (8, [5, 6, 8])):
        recent.keep("lobby", link, "epoch", 3, 100.0, Known(last, numbers, [news(each) for each in numbers]))
    known = recent.known("lobby", link, "epoch", 3, 100.0)
    assert (known.until, known.numbers) == (9, [5, 6, 8])
    assert [each.event for each in known.publications] == ["5", "6", "8"]


async def test_its_size_is_bounded_and_what_was_not_used_for_longest_is_removed(broker: RedisBroker) -> None:
    recent, link = RecentHistory(most_bytes=10_000), link_of(broker)
    for room in range(5):
        recent.keep(str(room), link, "epoch", 0, 0.0, Known(1, [1], [news(1, payload=b"x" * 2_000)]))
        recent.known("0", link, "epoch", 0, 0.0)
    kept = [room for room in range(5) if recent.known(str(room), link, "epoch", 0, 0.0).publications]
    assert kept == [0, 3, 4]
    recent.keep("large", link, "epoch", 0, 0.0, Known(1, [1], [news(1, payload=b"x" * 20_000)]))
    assert recent.known("large", link, "epoch", 0, 0.0).publications == []


async def test_many_that_read_at_once_all_get_everything(broker: RedisBroker) -> None:
    since = await broker.position(CHAT)

    async def read() -> list[str]:
        return [each.event for each in await broker.history(CHAT, since, [ToRoom(LOBBY)])]

    async def publish() -> None:
        for number in range(20):
            await broker.publish(news(number))

    publishing = asyncio.create_task(publish())
    found = []
    while not publishing.done():
        found += await asyncio.gather(*[read() for _ in range(20)])
    await publishing
    assert await read() == [str(number) for number in range(20)]
    assert all(each == [str(number) for number in range(len(each))] for each in found)
    assert len(set(map(len, found))) > 1
