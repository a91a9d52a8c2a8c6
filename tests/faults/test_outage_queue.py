"""`MEW_ON_BROKER_DOWN=local`: a process continues while Redis is away, and no event is lost or doubled."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from asgi_realtime.broker import outage_take_overs
from asgi_realtime.broker.encoding import PLAIN, Encoding
from asgi_realtime.broker.outage_queue import OutageQueue
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom, Command, TakeOver
from asgi_realtime.values.ids import ConnectionId, RoomName, UserId
from asgi_realtime.values.publications import Publication, ToRoom, ToUsers
from tests.faults.test_redis_broker import ADA, ATTIC, GATEWAY, LOBBY, Recorder, event, to
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until


class Pair:
    """A process with a queue, behind a proxy, and another process that is connected directly."""

    def __init__(self, proxy: RedisProxy, server: RedisProcess) -> None:
        prefix = f"test-{secrets.token_hex(4)}"
        self.proxy = proxy
        broker = RedisBroker(RedisServer(proxy.url), prefix=prefix, encoding=Encoding(encode, PLAIN.decode))
        self.queue = OutageQueue(broker, timeout=0.3)
        self.other = RedisBroker(RedisServer(server.url), prefix=prefix)
        self.seen, self.others = Recorder(), Recorder()

    async def start(self) -> None:
        await self.queue.start(self.seen)
        await self.other.start(self.others)
        targets = to(LOBBY, ATTIC, ADA, ToUsers((UserId("bob"),)))
        await self.queue.subscribe(targets)
        await self.other.subscribe(targets)
        await until(lambda: self.queue.ready)

    async def cut_off(self) -> None:
        self.proxy.refusing = True
        self.proxy.cut()
        await until(lambda: not self.queue.ready)


def encode(publication: Publication, origin: str) -> bytes:
    """The encoding of the package, which fails for some events."""
    if publication.event.startswith("unencodable"):
        raise ValueError("it cannot be encoded")
    return PLAIN.encode(publication, origin)


def take_over(user_id: str, connection_id: str) -> TakeOver:
    return TakeOver(
        gateway=GATEWAY,
        user_id=UserId(user_id),
        connection_id=ConnectionId(connection_id),
        event="bye",
        payload=b"",
        code=1008,
        reason="replaced",
    )


@pytest.fixture
async def pair(redis_process: RedisProcess) -> AsyncIterator[Pair]:
    async with redis_proxy(redis_process.socket) as proxy, AsyncExitStack() as stack:
        pair = Pair(proxy, redis_process)
        stack.push_async_callback(pair.other.stop)
        stack.push_async_callback(pair.queue.stop)
        await pair.start()
        yield pair


async def test_without_an_outage_nothing_is_queued(pair: Pair) -> None:
    receipt = await pair.queue.publish(event("news"))
    assert receipt.replicated
    assert receipt.position is not None
    assert receipt.delivered_locally == 1
    assert len(pair.queue) == 0
    await until(lambda: pair.others.seen == ["news"])


async def test_broadcasts_are_delivered_here_at_once_and_elsewhere_in_order_afterwards(pair: Pair) -> None:
    await pair.queue.publish(event("before"))
    await pair.cut_off()
    expected = ["before"]
    for number in range(30):
        target = (LOBBY, ADA, ToUsers((UserId("ada"), UserId("bob"))))[number % 3]
        receipt = await pair.queue.publish(event(f"{number}", target))
        expected.append(f"{number}")
        assert (receipt.delivered_locally, receipt.replicated, receipt.position) == (1, False, None)
        assert pair.seen.seen == expected
    assert len(pair.queue) == 30
    pair.proxy.refusing = False
    await until(lambda: len(pair.queue) == 0)
    await pair.queue.publish(event("after"))
    await until(lambda: pair.others.seen[-1:] == ["after"])
    assert pair.others.seen == pair.seen.seen == [*expected, "after"]


async def test_a_broadcast_while_the_queue_is_sent_goes_behind_it(pair: Pair) -> None:
    await pair.cut_off()
    for number in range(200):
        await pair.queue.publish(event(f"{number}"))
    pair.proxy.refusing = False
    number = 200
    while len(pair.queue) and number < 400:  # on a slow machine they come faster than the queue is sent
        await pair.queue.publish(event(f"{number}"))
        number += 1
        await asyncio.sleep(0.001)
    await until(lambda: len(pair.others.seen) == number)
    assert pair.others.seen == pair.seen.seen == [f"{each}" for each in range(number)]


@pytest.mark.parametrize("passes_copy", [False, True])
async def test_a_broadcast_whose_reply_is_lost_is_delivered_once(pair: Pair, passes_copy: bool) -> None:
    pair.proxy.hold()
    publishing = asyncio.create_task(pair.queue.publish(event("once")))
    await pair.proxy.until_held(b"once")
    await pair.proxy.until_held(b"*2")
    pair.proxy.refusing = True
    if passes_copy:
        pair.proxy.cut_after(pair.proxy.held.index(b"*2"))
    else:
        pair.proxy.cut()
    await publishing
    assert pair.seen.seen == ["once"]
    pair.proxy.refusing = False
    await until(lambda: pair.queue.ready and len(pair.queue) == 0)
    await pair.queue.publish(event("after"))
    await until(lambda: pair.others.seen[-1:] == ["after"])
    assert pair.others.seen == pair.seen.seen == ["once", "after"]


async def test_with_a_frozen_redis_broadcasts_are_delivered_here(pair: Pair, redis_process: RedisProcess) -> None:
    redis_process.freeze()
    try:
        async with asyncio.timeout(0.9):
            await pair.queue.publish(event("first"))
            await pair.queue.publish(event("second"))
        assert pair.seen.seen == ["first", "second"]
    finally:
        redis_process.thaw()
    await until(lambda: len(pair.queue) == 0)
    await until(lambda: pair.others.seen == ["first", "second"])
    await pair.queue.publish(event("after"))
    assert pair.seen.seen == ["first", "second", "after"]


async def test_a_key_is_used_once_during_an_outage(pair: Pair) -> None:
    await pair.cut_off()
    first = await pair.queue.publish(event("once"), key="k")
    assert await pair.queue.publish(event("once"), key="k") == first
    pair.proxy.refusing = False
    await until(lambda: pair.others.seen == ["once"])
    await pair.queue.publish(event("once"), key="k")
    await pair.queue.publish(event("after"))
    await until(lambda: pair.others.seen == ["once", "after"])
    assert pair.seen.seen == ["once", "after"]


async def test_history_is_complete_or_unavailable_while_the_queue_is_sent(pair: Pair) -> None:
    since = await pair.queue.position(GATEWAY)
    await pair.cut_off()
    with pytest.raises(BrokerUnavailable):
        await pair.queue.history(GATEWAY, since, [LOBBY])
    for number in range(300):
        await pair.queue.publish(event(f"{number}"))
    pair.proxy.refusing = False
    while True:
        try:
            found = await pair.queue.history(GATEWAY, since, [LOBBY])
        except BrokerUnavailable:
            await asyncio.sleep(0.001)
        else:
            break
    assert [each.event for each in found] == [f"{number}" for number in range(300)]


async def test_history_is_unavailable_if_something_was_delivered_only_here_during_the_reading(pair: Pair) -> None:
    since = await pair.queue.position(GATEWAY)
    pair.proxy.delay = 0.4
    reading = asyncio.create_task(pair.queue.history(GATEWAY, since, [LOBBY]))
    await pair.queue.publish(event("here"))
    assert pair.seen.seen == ["here"]
    pair.proxy.delay = 0.0
    with pytest.raises(BrokerUnavailable):
        await reading
    await until(lambda: len(pair.queue) == 0)
    found = await pair.queue.history(GATEWAY, since, [LOBBY])
    assert [each.event for each in found] == ["here"]


async def test_a_volatile_broadcast_is_only_delivered_here(pair: Pair) -> None:
    await pair.cut_off()
    receipt = await pair.queue.publish(event("typing", volatile=True))
    assert (receipt.delivered_locally, receipt.replicated) == (1, False)
    assert len(pair.queue) == 0
    assert pair.seen.seen == ["typing"]


async def test_the_queue_is_bounded_in_number_bytes_and_age(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair.cut_off()
    monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED_BYTES", 1_000)
    with pytest.raises(BrokerUnavailable):
        await pair.queue.publish(event("large", size=1_001))
    for number in range(3):
        await pair.queue.publish(event(f"{number}", size=300))
    with pytest.raises(BrokerUnavailable):
        await pair.queue.publish(event("3", size=300))
    monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED", 3)
    with pytest.raises(BrokerUnavailable):
        await pair.queue.publish(event("small"))
    monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED", 100)
    monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED_SECONDS", 0.0)
    with pytest.raises(BrokerUnavailable):
        await pair.queue.publish(event("late"))
    monkeypatch.setattr("asgi_realtime.broker.outage_queue.QUEUED_SECONDS", 60.0)
    pair.proxy.refusing = False
    await until(lambda: pair.others.seen == ["0", "1", "2"])
    await pair.queue.publish(event("after"))
    assert pair.seen.seen == ["0", "1", "2", "after"]


async def test_rooms_are_entered_during_an_outage_and_subscribed_afterwards(pair: Pair) -> None:
    cellar, quiet = ToRoom(RoomName("cellar")), ToRoom(RoomName("quiet"))
    await pair.other.subscribe(to(cellar, quiet))
    await pair.cut_off()
    async with asyncio.timeout(0.5):
        await pair.queue.subscribe(to(cellar, quiet))
    await pair.other.publish(event("missed", cellar))
    await pair.queue.publish(event("from here", quiet))
    pair.proxy.refusing = False
    await until(lambda: pair.queue.ready and len(pair.queue) == 0)
    assert [list(each or []) for each in pair.seen.resyncs] == [to(cellar)]
    await pair.other.publish(event("later", cellar))
    await pair.other.publish(event("later", quiet))
    await until(lambda: pair.seen.seen == ["from here", "later", "later"])


async def test_commands_raise_during_an_outage_except_a_take_over(pair: Pair) -> None:
    await pair.cut_off()
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(2):
            await pair.queue.command(CloseRoom(GATEWAY, RoomName("lobby")))
    await pair.queue.command(take_over("ada", "c"))
    assert pair.seen.seen == ["TakeOver"]


async def test_take_overs_of_an_outage_are_sent_afterwards_if_their_connections_are_open(pair: Pair) -> None:
    taken: list[tuple[str, str]] = []

    def note(command: Command) -> None:
        assert isinstance(command, TakeOver)
        taken.append((command.user_id, command.connection_id))

    pair.others.on_command = note
    await pair.cut_off()
    for user_id, connection_id in (("ada", "a1"), ("bob", "b1"), ("eve", "e1"), ("ada", "a2")):
        await pair.queue.command(take_over(user_id, connection_id))
    await pair.queue.publish(event("queued"))
    pair.seen.connections = ConnectionId("a2"), ConnectionId("a1"), ConnectionId("b1")
    pair.proxy.refusing = False
    await until(lambda: pair.others.seen[-1:] == ["queued"])
    assert taken == [("bob", "b1"), ("ada", "a2")]
    assert pair.seen.seen == [*["TakeOver"] * 4, "queued", *["TakeOver"] * 2]


async def test_with_a_frozen_redis_a_take_over_is_carried_out_here_at_once(
    pair: Pair, redis_process: RedisProcess
) -> None:
    pair.seen.connections = (ConnectionId("c"),)
    redis_process.freeze()
    try:
        async with asyncio.timeout(0.9):
            await pair.queue.command(take_over("ada", "c"))
        assert pair.seen.seen == ["TakeOver"]
    finally:
        redis_process.thaw()
    await until(lambda: "TakeOver" in pair.others.seen)


async def test_take_overs_of_an_outage_are_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_take_overs, "KEPT", 2)
    await pair.cut_off()
    for user_id in ("ada", "bob", "ada"):
        await pair.queue.command(take_over(user_id, "c"))
    with pytest.raises(BrokerUnavailable):
        await pair.queue.command(take_over("eve", "c"))
    assert pair.seen.seen == ["TakeOver"] * 3


async def test_what_cannot_be_sent_is_dropped_with_a_line_and_the_rest_is_sent(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    await pair.cut_off()
    for name in ("first", "unencodable 1", "unencodable 2", "last"):
        receipt = await pair.queue.publish(event(name), key=name)
        assert receipt.delivered_locally == 1
    pair.proxy.refusing = False
    await until(lambda: len(pair.queue) == 0)
    await pair.queue.publish(event("after"))
    await until(lambda: pair.others.seen[-1:] == ["after"])
    assert pair.others.seen == ["first", "last", "after"]
    assert pair.seen.seen == ["first", "unencodable 1", "unencodable 2", "last", "after"]
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        "/: a queued broadcast is not sent to other processes ('unencodable 1'): ValueError('it cannot be encoded')"
    ]


async def test_a_room_whose_history_redis_refuses_to_keep_holds_no_other_room_back(
    pair: Pair, redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_process.client() as client:
        client.set(pair.other.links.keys(GATEWAY).history("r:attic"), "the key of another program")
    for publication in (event("refused", ATTIC), event("taken")):
        receipt = await pair.queue.publish(publication)
        assert (receipt.delivered_locally, receipt.replicated) == (1, False)
    await until(lambda: pair.others.seen == ["taken"])
    await until(lambda: len(pair.queue) == 0)
    assert pair.seen.seen == ["refused", "taken"]
    assert (await pair.queue.publish(event("after"))).replicated
    [error] = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert error.startswith("/: a queued broadcast is not sent to other processes ('refused'): ")
    assert "WRONGTYPE" in error


async def test_a_take_over_that_fails_after_an_outage_does_not_end_the_sending(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.seen.connections = ConnectionId("a"), ConnectionId("b")
    await pair.cut_off()
    for user_id in ("ada", "bob"):
        await pair.queue.command(take_over(user_id, user_id[0]))
    await pair.queue.publish(event("queued"))

    def fail(command: Command) -> None:
        assert isinstance(command, TakeOver)
        if command.user_id == "ada":
            raise ValueError("a connection could not be ended")

    pair.seen.on_command = fail
    pair.proxy.refusing = False
    await until(lambda: pair.others.seen[-1:] == ["queued"])
    assert pair.others.seen == ["TakeOver", "TakeOver", "queued"]
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["/: a take-over failed after an outage: ValueError('a connection could not be ended')"]


async def test_what_is_queued_at_the_stop_is_logged(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    await pair.cut_off()
    await pair.queue.publish(event("lost"))
    await pair.queue.stop()
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["1 publications were not sent to other processes: Redis is away"]
    with pytest.raises(BrokerUnavailable):
        await pair.queue.publish(event("stopped"))
