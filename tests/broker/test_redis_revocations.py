"""Revocations in Redis: bounded, expired by the clock of Redis, and the same in every process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker import redis_revocations
from asgi_realtime.broker.redis_revocations import SharedRevocations
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.scripts import load_scripts
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import UserId
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until


@pytest.fixture
async def link(redis_process: RedisProcess) -> AsyncIterator[Link]:
    lost = asyncio.Event()
    link = await RedisServer(redis_process.url).connect(
        "any", on_message=lambda channel, payload: None, on_lost=lambda link: lost.set()
    )
    await load_scripts(link)
    yield link
    link.abort()
    await lost.wait()


class Process:
    """The revocations of one process."""

    def __init__(self, keys: Keys, ttl: float = 60.0) -> None:
        self.own = Revocations(ttl=ttl)
        self.learned = 0
        self.shared = SharedRevocations(self.own, keys=keys, on_new=self._count)

    def _count(self) -> None:
        self.learned += 1

    def refuses(self, **claims: object) -> bool:
        return self.own.is_revoked(Identity(user_id="ada", claims=claims))


@pytest.fixture
def keys() -> Keys:
    return Keys(f"test-{secrets.token_hex(4)}", SHARED)


async def test_processes_learn_from_each_other_and_say_so_once(keys: Keys, link: Link) -> None:
    first, second = Process(keys), Process(keys)
    first.own.revoke_token("j1")
    first.own.revoke_user(UserId("ada"), 100.5)
    second.own.revoke_token("j2:ü")
    for process in (first, second, first, second):
        await process.shared.synchronise(link)
    assert (first.learned, second.learned) == (1, 1)
    for process in (first, second):
        for jti in ("j1", "j2:ü"):
            assert process.refuses(jti=jti, iat=101)
        assert process.refuses(iat=100.5)
        assert not process.refuses(iat=100.6)


async def test_more_revocations_than_one_page_are_learned(keys: Keys, link: Link) -> None:
    first, second = Process(keys), Process(keys)
    number = 2 * redis_revocations.AT_ONCE + 1
    for each in range(number):
        first.own.revoke_token(f"j{each}")
    await first.shared.synchronise(link)
    await second.shared.synchronise(link)
    assert len(second.own.tokens()) == number
    assert second.learned == 1


async def test_the_remaining_time_is_kept_and_redis_forgets_what_has_ended(
    keys: Keys, link: Link, redis_process: RedisProcess
) -> None:
    first, second = Process(keys, ttl=0.2), Process(keys, ttl=1_000.0)
    first.own.revoke_token("j1")
    await first.shared.synchronise(link)
    await second.shared.synchronise(link)
    [(jti, left)] = second.own.tokens()
    assert jti == "j1"
    assert 0 < left <= 0.2
    with redis_process.client() as redis:
        await until(lambda: not redis.exists(keys.revocations))
    await until(lambda: not second.refuses(jti="j1"))


async def test_their_number_in_redis_is_bounded(keys: Keys, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_revocations, "MOST", 3)
    process = Process(keys)
    for each in range(5):
        process.own.revoke_token(f"j{each}", 10.0 + each)
    await process.shared.synchronise(link)
    other = Process(keys)
    await other.shared.synchronise(link)
    assert {jti for jti, _ in other.own.tokens()} == {"j2", "j3", "j4"}


async def test_revocations_that_redis_has_lost_come_back_although_the_connection_stands(
    keys: Keys, link: Link, redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_revocations, "CHECK_EVERY", 0.01)
    process = Process(keys)
    process.own.revoke_token("j1")
    await process.shared.synchronise(link)
    watching = asyncio.create_task(process.shared.watch(lambda: link))
    with redis_process.client() as redis:
        redis.delete(keys.revocations)
        await until(lambda: redis.exists(keys.revocations))
        # Revocations of another process are found in the same way.
        redis.zadd(keys.revocations, {"tj2": 4e12, "uno time:ada": 4e12})
        await until(lambda: process.refuses(jti="j2"))
    assert process.refuses(jti="j1")
    assert not process.refuses(jti="j3")
    watching.cancel()
    await asyncio.wait([watching])
