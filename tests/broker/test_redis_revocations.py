"""Revocations in Redis: bounded, expired by the clock of Redis, and the same in every process."""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker import redis_revocations
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.redis_revocations import SharedRevocations
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.scripts import load_scripts
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import RevokeToken, RevokeUser
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import UserId
from tests.support.recording_receiver import RecordingReceiver
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

    def __init__(self, keys: Keys, ttl: float = 60.0, capacity: int = 1_000_000) -> None:
        self.own = Revocations(ttl=ttl, capacity=capacity)
        self.learned = 0
        self.failing = 0
        """How many of the next calls of `on_new` raise."""
        self.shared = SharedRevocations(self.own, keys=keys, on_new=self._count)

    def _count(self) -> None:
        if self.failing:
            self.failing -= 1
            raise ValueError("a connection could not be ended")
        self.learned += 1

    def refuses(self, **claims: object) -> bool:
        return self.own.is_revoked(Identity(user_id="ada", claims=claims))


@pytest.fixture
def keys() -> Keys:
    return Keys(f"test-{secrets.token_hex(4)}", SHARED)


async def test_processes_learn_from_each_other_and_say_so_once(keys: Keys, link: Link) -> None:
    first, second = Process(keys), Process(keys)
    now = time.time()
    first.own.revoke_token("j1")
    first.own.revoke_user(UserId("ada"), now)
    second.own.revoke_token("j2:ü")
    for process in (first, second, first, second):
        await process.shared.synchronise(link)
    assert (first.learned, second.learned) == (1, 1)
    for process in (first, second):
        for jti in ("j1", "j2:ü"):
            assert process.refuses(jti=jti, iat=now + 1)
        assert process.refuses(iat=now)
        assert not process.refuses(iat=now + 0.001)


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
        await until(lambda: not redis.exists(keys.revoked_tokens))
    await until(lambda: not second.refuses(jti="j1"))


async def test_over_the_limit_a_process_that_starts_refuses_those_that_end_last(keys: Keys, link: Link) -> None:
    process = Process(keys, capacity=3)
    now = time.time()
    for each in (3, 0, 4, 1, 2):
        process.own.revoke_token(f"j{each}", 10.0 + each)
        process.own.revoke_user(UserId(f"u{each}"), now + each, 10.0 + each)
    await process.shared.synchronise(link)
    other = Process(keys, capacity=3)
    await other.shared.synchronise(link)
    for those in (process, other):
        assert {jti for jti, _ in those.own.tokens()} == {"j2", "j3", "j4"}
        assert {user for user, _, _ in those.own.users()} == {"u2", "u3", "u4"}
    smaller = Process(keys, capacity=1)
    await smaller.shared.synchronise(link)
    assert [jti for jti, _ in smaller.own.tokens()] == ["j4"]
    assert [user for user, _, _ in smaller.own.users()] == ["u4"]


async def test_a_user_who_is_revoked_again_and_again_removes_no_others(redis_process: RedisProcess) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    now = time.time()
    own, later = Revocations(ttl=60.0, capacity=3), Revocations(ttl=60.0, capacity=3)
    brokers = [RedisBroker(RedisServer(redis_process.url), prefix=prefix, revocations=each) for each in (own, later)]
    try:
        await brokers[0].start(RecordingReceiver())
        await brokers[0].command(RevokeToken("stolen"))
        await brokers[0].command(RevokeUser(UserId("bob"), now))
        for each in (2, 3, 4, 1, 0):
            await brokers[0].command(RevokeUser(UserId("ada"), now + each))
        await brokers[1].start(RecordingReceiver())
    finally:
        for broker in brokers:
            await broker.stop()
    assert [jti for jti, _ in later.tokens()] == ["stolen"]
    assert {user: before for user, before, _ in later.users()} == {"bob": now, "ada": now + 4}


async def test_a_user_whose_revocation_has_ended_is_not_learned(keys: Keys, link: Link) -> None:
    first, second = Process(keys, ttl=1_000.0), Process(keys, ttl=60.0)
    now = time.time()
    for user, before in (("ada", now), ("bob", now - 100.0)):
        first.own.revoke_user(UserId(user), before)
    await first.shared.synchronise(link)
    for _ in range(2):
        await second.shared.synchronise(link)
    assert second.learned == 1
    [(user, before, left)] = second.own.users()
    assert (user, before) == ("ada", now)
    assert 0 < left <= 60


async def test_revocations_that_redis_has_lost_come_back_although_the_connection_stands(
    keys: Keys, link: Link, redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_revocations, "CHECK_EVERY", 0.01)
    process = Process(keys)
    now = time.time()
    process.own.revoke_token("j1")
    process.own.revoke_user(UserId("ada"), now)
    await process.shared.synchronise(link)
    watching = asyncio.create_task(process.shared.watch(lambda: link))
    with redis_process.client() as redis:
        for key in (keys.revoked_tokens, keys.revoked_users):
            redis.delete(key)
            await until(functools.partial(redis.exists, key))
        # Revocations of another process are found in the same way.
        redis.zadd(keys.revoked_tokens, {"j2": 4e12})
        await until(lambda: process.refuses(jti="j2", iat=now + 1))
        redis.zadd(keys.revoked_users, {"bob": now})
        await until(lambda: process.own.is_revoked(Identity(user_id="bob")))
    assert process.refuses(jti="j1", iat=now + 1)
    assert process.refuses(iat=now)
    assert not process.refuses(jti="j3", iat=now + 1)
    watching.cancel()
    await asyncio.wait([watching])


async def test_an_error_does_not_end_the_comparisons_with_redis(
    keys: Keys, link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_revocations, "CHECK_EVERY", 0.01)
    first, second = Process(keys), Process(keys)
    await second.shared.synchronise(link)
    second.failing = 2
    watching = asyncio.create_task(second.shared.watch(lambda: link))
    first.own.revoke_token("j1")
    await first.shared.synchronise(link)
    await until(lambda: second.learned == 1)
    assert second.refuses(jti="j1")
    assert [record.message for record in caplog.records] == [
        "comparing the revocations with Redis failed: ValueError('a connection could not be ended')"
    ]
    watching.cancel()
    await asyncio.wait([watching])
