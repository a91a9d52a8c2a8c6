"""A link that is replaced when it is lost."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link, LinkLost, Reply
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script, send_script
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from tests.support.redis_places import RedisPlaces
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

TIMEOUT = 0.3


class Session:
    """A reconnecting link, and what it did."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self.keys = Keys(f"test-{secrets.token_hex(4)}", GatewayName("/"))
        self.prepared: list[Link] = []
        self.up: list[Link] = []
        self.losses = 0
        self.given_up = 0
        """How many of the next links are given up when they are announced."""
        self.tasks = Tasks()
        self.link = ReconnectingLink(
            RedisServer(url),
            keys=self.keys,
            node="node",
            on_message=lambda channel, payload: None,
            on_link=self._prepare,
            own={},
            on_up=self._record_up,
            on_lost=self._count_loss,
            tasks=self.tasks,
            meter=Meter(),
            timeout=timeout,
        )

    async def _prepare(self, reconnecting: ReconnectingLink, link: Link) -> None:
        assert not reconnecting.ready
        self.prepared.append(link)

    def _record_up(self, reconnecting: ReconnectingLink, link: Link) -> None:
        assert reconnecting.current is link and not reconnecting.ready
        self.up.append(link)
        if self.given_up:
            self.given_up -= 1
            link.abort()

    def _count_loss(self) -> None:
        self.losses += 1

    async def __aenter__(self) -> Session:
        self.tasks.start()
        await self.link.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.link.stop()
        await self.tasks.aclose()


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[RedisProxy]:
    async with redis_proxy(redis_process.socket) as running:
        yield running


async def state_of(session: Session) -> HistoryState:
    return await session.link.run(Script.STATE, [session.keys.state], new_epoch(), read=HistoryState)


async def test_a_lost_link_is_replaced_prepared_and_announced_with_one_line(
    proxy: RedisProxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session(proxy.url) as session:
        first = await session.link.link()
        proxy.refusing = True
        proxy.cut()
        await until(lambda: not session.link.ready)
        with pytest.raises(BrokerUnavailable):
            await session.link.link()
        proxy.refusing = False
        await session.link.until_up()
        second = await session.link.link()
        assert first.lost and not second.lost
        assert session.prepared == session.up == [first, second]
        assert session.losses == 1
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1


async def test_a_link_that_is_given_up_while_it_is_announced_is_replaced(redis_process: RedisProcess) -> None:
    session = Session(redis_process.url, timeout=30.0)
    session.given_up = 2
    async with session:
        assert (session.link.ready, session.link.current) == (False, None)
        last, _ = await asyncio.gather(session.link.link(), session.link.until_up())
        assert session.link.ready
        assert session.up[-1] is last
        assert len(session.up) == 3
        assert session.losses == 2


async def test_a_call_waits_until_the_outage_has_lasted_for_the_timeout_and_then_raises_at_once(
    proxy: RedisProxy,
) -> None:
    async with Session(proxy.url) as session:
        proxy.refusing = True
        proxy.cut()
        await until(lambda: not session.link.ready)
        waiting = asyncio.create_task(session.link.link())
        await asyncio.sleep(0)  # the call begins, and waits for a link
        assert not waiting.done()
        with pytest.raises(BrokerUnavailable, match="Redis is not available"):
            await waiting
        with pytest.raises(BrokerUnavailable):
            session.link.check()
        later = session.link.link()
        with pytest.raises(BrokerUnavailable):
            later.send(None)  # at its first step


async def test_work_is_done_again_on_the_next_link_and_knows_that_it_may_be_done(proxy: RedisProxy) -> None:
    attempts: list[bool] = []

    async def work(link: Link, again: bool) -> bool:
        attempts.append(again)
        if not again:
            proxy.cut()
            return await link.ask("BLPOP", "none", 0, read=bool)
        return not link.lost

    async with Session(proxy.url, timeout=10.0) as session:
        assert await session.link.attempt(work)
    assert attempts == [False, True]


async def test_a_refusal_is_raised_and_not_repeated(redis_process: RedisProcess) -> None:
    attempts = 0

    async def work(link: Link, again: bool) -> bool:
        nonlocal attempts
        attempts += 1
        return await link.ask("NO SUCH COMMAND", read=bool)

    async with Session(redis_process.url) as session:
        with pytest.raises(BrokerUnavailable, match="Redis refused: ERR unknown command"):
            await session.link.attempt(work)
    assert attempts == 1


async def test_scripts_that_redis_has_lost_are_sent_again(redis_process: RedisProcess) -> None:
    async with Session(redis_process.url) as session:
        before = await state_of(session)
        replies: list[Reply] = []
        with redis_process.client() as client:
            client.script_flush()
        assert (await state_of(session)).epoch == before.epoch
        with redis_process.client() as client:
            client.script_flush()
        link = await session.link.link()
        send_script(link, replies.append, Script.STATE, [session.keys.state], new_epoch())
        await until(lambda: replies)
        assert HistoryState(replies[0]).epoch == before.epoch
        link.abort()
        with pytest.raises(LinkLost):
            send_script(link, replies.append, Script.STATE, [session.keys.state], new_epoch())


async def test_a_stop_ends_every_call_that_waits(proxy: RedisProxy) -> None:
    async with Session(proxy.url, timeout=60.0) as session:
        proxy.refusing = True
        proxy.cut()
        await until(lambda: not session.link.ready)
        waiting = [asyncio.create_task(call) for call in (session.link.link(), session.link.until_up())]
        await asyncio.sleep(0)  # both calls begin, and wait for a link
    for each in waiting:
        with pytest.raises(BrokerUnavailable, match="has stopped"):
            await each


async def test_a_call_that_begins_after_the_link_was_lost_during_a_stop_raises(redis_process: RedisProcess) -> None:
    async with Session(redis_process.url) as session:
        link = await session.link.link()
        session.link.end_calls()
        link.abort()
        assert not session.link.ready
        for call in (session.link.link(), session.link.until_up()):
            with pytest.raises(BrokerUnavailable, match="has stopped"):
                await call


@pytest.mark.parametrize("place", ["socket", "valkey"])
async def test_a_new_link_learns_whether_own_messages_follow_the_reply(redis_places: RedisPlaces, place: str) -> None:
    handled: list[object] = []
    async with Session(redis_places(place).url) as session:
        link = await session.link.link()
        server = RedisServer(redis_places(place).url)
        raw = await server.connect(
            "key", on_message=lambda channel, payload: handled.append("copy"), on_lost=lambda link: None
        )
        raw.subscribe(["test-order"])
        raw.send(lambda reply: handled.append("reply"), "PUBLISH", "test-order", "")
        await raw.ask("PING", read=bool)
        raw.abort()
        assert link.copies_follow is (handled == ["reply", "copy"])
        assert link.copies_follow or place == "socket"
