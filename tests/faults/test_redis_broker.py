"""The broker on Redis, while connections are cut, replies are lost, and Redis loses its data."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable, PositionLost
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom, Command, RefreshRooms
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription, Target, ToAll, ToRoom, ToUsers
from asgi_realtime.values.questions import NodeAnswer, Question
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
LOBBY = ToRoom(RoomName("lobby"))
ATTIC = ToRoom(RoomName("attic"))
ADA, BOB = ToUsers((UserId("ada"),)), ToUsers((UserId("bob"),))
MEGABYTE = 1_000_000


class Recorder:
    """A receiver that records its deliveries in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.resyncs: list[Collection[Subscription] | None] = []
        self.on_command: Callable[[Command], Awaitable[None] | None] = lambda command: None
        self.connections: tuple[ConnectionId, ...] = ()

    def deliver(self, publication: Publication) -> int:
        self.seen.append(publication.event)
        return 1

    def apply(self, command: Command, position: Position | None) -> Awaitable[None] | None:
        self.seen.append(type(command).__name__)
        return self.on_command(command)

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        pass

    def subscription_for(self, command: Command) -> Subscription | None:
        return None

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        if gateway == GATEWAY:
            self.resyncs.append(subscriptions)

    def acknowledged(self, number: int, values: list[Json]) -> None:
        raise AssertionError

    def answer(self, question: Question) -> NodeAnswer:
        return NodeAnswer(connections=self.connections)


def event(name: str, target: Target = LOBBY, *, size: int = 0, volatile: bool = False) -> Publication:
    return Publication(gateway=GATEWAY, target=target, event=name, payload=b"x" * size, volatile=volatile)


def to(*targets: Target) -> list[Subscription]:
    return [Subscription(GATEWAY, target) for target in targets]


class Nodes:
    """Starts brokers that share a prefix. The first is behind a proxy, the others are connected directly."""

    def __init__(self, stack: AsyncExitStack, server: RedisProcess, proxy: RedisProxy) -> None:
        self._stack = stack
        self.server = server
        self.proxy = proxy
        self.prefix = f"test-{secrets.token_hex(4)}"

    async def start(
        self,
        *targets: Target,
        history_ttl: float = 60.0,
        history_size: int = 1_000,
        timeout: float = 1.0,
        behind_proxy: bool = False,
    ) -> tuple[RedisBroker, Recorder]:
        broker = RedisBroker(
            RedisServer(self.proxy.url if behind_proxy else self.server.url),
            prefix=self.prefix,
            history_ttl=history_ttl,
            history_size=history_size,
            timeout=timeout,
        )
        recorder = Recorder()
        await broker.start(recorder)
        self._stack.push_async_callback(broker.stop)
        await broker.subscribe(to(*targets))
        return broker, recorder

    async def cut_off(self, broker: RedisBroker) -> None:
        """Cut the node behind the proxy off, until `proxy.refusing` is False again."""
        self.proxy.refusing = True
        self.proxy.cut()
        await until(lambda: not broker.ready)


@pytest.fixture
async def nodes(redis_process: RedisProcess) -> AsyncIterator[Nodes]:
    async with redis_proxy(redis_process.socket) as proxy, AsyncExitStack() as stack:
        yield Nodes(stack, redis_process, proxy)


async def test_what_was_published_while_a_node_was_cut_off_is_delivered_in_order(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, ATTIC, ADA, BOB, ToAll(), behind_proxy=True)
    near, expected = await nodes.start(LOBBY, ATTIC, ADA, BOB, ToAll())
    await nodes.cut_off(far)
    for number in range(20):
        for target in (LOBBY, ATTIC, ToUsers((UserId("ada"), UserId("bob"))), ToAll()):
            await near.publish(event(f"{type(target).__name__} {number}", target))
        await near.command(CloseRoom(GATEWAY, RoomName(f"{number}")))
    nodes.proxy.refusing = False
    await until(lambda: seen.seen == expected.seen)
    assert len(expected.seen) == 100
    assert seen.resyncs == []


async def test_the_first_publication_of_a_room_is_delivered_after_an_outage(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, history_ttl=5.0)
    near, _ = await nodes.start(LOBBY, history_ttl=5.0)
    await nodes.cut_off(far)
    await near.publish(event("first"))
    nodes.proxy.refusing = False
    await until(lambda: seen.seen == ["first"] or bool(seen.resyncs))
    assert (seen.seen, seen.resyncs) == (["first"], [])


async def test_a_room_is_told_after_an_outage_that_was_longer_than_history(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, history_ttl=0.2)
    near, _ = await nodes.start(history_ttl=0.2)
    await nodes.cut_off(far)
    await near.publish(event("gone"))
    keys = Keys(nodes.prefix, GATEWAY)
    with nodes.server.client() as client:
        await until(lambda: not client.exists(keys.last("r:lobby"), keys.history("r:lobby")))
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    assert seen.seen == []


async def test_a_room_is_told_when_more_was_missed_than_history_keeps(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, history_size=10)
    near, _ = await nodes.start(LOBBY, history_size=10)
    await nodes.cut_off(far)
    for number in range(11):
        await near.publish(event(f"{number}"))
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    await near.publish(event("after"))
    await until(lambda: seen.seen == ["after"])
    assert [list(each or []) for each in seen.resyncs] == [to(LOBBY)]


async def test_a_publication_to_several_users_that_came_for_one_before_the_cut_is_delivered_once(nodes: Nodes) -> None:
    far, seen = await nodes.start(ADA, BOB, behind_proxy=True)
    near, _ = await nodes.start()
    await near.publish(event("before", ADA))
    await near.publish(event("before", BOB))
    nodes.proxy.hold()
    await near.publish(event("to both", ToUsers((UserId("ada"), UserId("bob")))))
    await nodes.proxy.until_held(b"to both", 2)
    second = nodes.proxy.held.index(b">3", nodes.proxy.held.index(b"to both"))
    nodes.proxy.cut_after(second)
    await until(lambda: nodes.proxy.connections == 2 and far.ready)
    await near.publish(event("after", ADA))
    await until(lambda: seen.seen[-1:] == ["after"])
    assert seen.seen == ["before", "before", "to both", "after"]


@pytest.mark.parametrize("volatile", [False, True])
async def test_a_publication_whose_reply_is_lost_is_delivered_once(nodes: Nodes, volatile: bool) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, timeout=10.0)
    _, other = await nodes.start(LOBBY)
    nodes.proxy.hold()
    publishing = asyncio.create_task(far.publish(event("once", volatile=volatile)))
    await nodes.proxy.until_held(b"once")
    nodes.proxy.cut()
    if volatile:
        with pytest.raises(BrokerUnavailable):
            await publishing
    else:
        await publishing
    await far.publish(event("after"))
    await until(lambda: other.seen == ["once", "after"])
    assert seen.seen == (["after"] if volatile else ["once", "after"])


@pytest.mark.parametrize(("history_size", "others"), [(10_000, 1_500), (5, 10), (0, 10), (0, 0)])
async def test_a_publication_whose_reply_is_lost_is_delivered_once_or_refused(
    nodes: Nodes, history_size: int, others: int
) -> None:
    far, _ = await nodes.start(behind_proxy=True, history_size=history_size, timeout=10.0)
    near, seen = await nodes.start(LOBBY, history_size=history_size)
    nodes.proxy.hold()
    publishing = asyncio.create_task(far.publish(event("once")))
    await until(lambda: "once" in seen.seen)
    for number in range(others):
        await near.publish(event(f"{number}"))
    nodes.proxy.cut()
    if history_size < others or not history_size:
        with pytest.raises(BrokerUnavailable, match="no longer says"):
            await publishing
    else:
        await publishing
    await near.publish(event("after"))
    await until(lambda: seen.seen[-1:] == ["after"])
    assert seen.seen.count("once") == 1


@pytest.mark.parametrize("history_size", [5, 0])
async def test_a_publication_that_redis_did_not_get_is_sent_again(nodes: Nodes, history_size: int) -> None:
    far, _ = await nodes.start(behind_proxy=True, history_size=history_size, timeout=10.0)
    near, seen = await nodes.start(LOBBY, history_size=history_size)
    for number in range(10):
        await near.publish(event(f"{number}"))
    await asyncio.sleep(0.1)  # longer ago than the publication
    nodes.proxy.dropping = True
    publishing = asyncio.create_task(far.publish(event("once")))
    await until(lambda: nodes.proxy.dropped)
    nodes.proxy.dropping = False
    nodes.proxy.cut()
    await publishing
    await until(lambda: seen.seen[-1:] == ["once"])
    assert seen.seen.count("once") == 1


async def test_a_publication_is_published_once_although_its_repetition_is_long_under_way(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, timeout=10.0)
    _, other = await nodes.start(LOBBY)
    nodes.proxy.hold()
    publishing = asyncio.create_task(far.publish(event("once")))
    await nodes.proxy.until_held(b"once")
    nodes.proxy.delay = 0.1
    nodes.proxy.cut()
    await publishing
    await far.publish(event("after"))
    await until(lambda: other.seen == ["once", "after"])
    assert seen.seen == ["once", "after"]


async def test_a_command_whose_reply_is_lost_is_applied_once_everywhere(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, timeout=10.0)
    _, other = await nodes.start(LOBBY)
    await far.publish(event("before"))
    nodes.proxy.hold()
    commanding = asyncio.create_task(far.command(CloseRoom(GATEWAY, RoomName("lobby"))))
    await nodes.proxy.until_held(b"close_room")
    nodes.proxy.cut()
    await commanding
    await far.publish(event("after"))
    await until(lambda: other.seen == ["before", "CloseRoom", "after"])
    assert seen.seen == other.seen


async def test_more_history_than_redis_sends_at_once_is_repaired(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, ATTIC, behind_proxy=True)
    near, _ = await nodes.start()
    await nodes.cut_off(far)
    expected = []
    for number in range(20):  # by default Redis closes the connection of a subscriber with 32 MB of unsent data
        for target in (LOBBY, ATTIC):
            expected.append(f"{target.room} {number}")
            await near.publish(event(expected[-1], target, size=MEGABYTE))
    nodes.proxy.refusing = False
    await until(lambda: len(seen.seen) >= 40 or bool(seen.resyncs))
    assert (seen.seen, seen.resyncs) == (expected, [])


async def test_more_history_than_redis_sends_at_once_is_read(nodes: Nodes) -> None:
    near, _ = await nodes.start()
    start = await near.position(GATEWAY)
    expected = []
    for number in range(20):
        for target in (LOBBY, ATTIC):
            expected.append(f"{target.room} {number}")
            await near.publish(event(expected[-1], target, size=MEGABYTE))
    assert [each.event for each in await near.history(GATEWAY, start, [LOBBY, ATTIC])] == expected


async def test_more_missed_bytes_than_a_process_may_hold_are_a_lost_position(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()
    start = await near.position(GATEWAY)
    await nodes.cut_off(far)
    for _ in range(18):
        await near.publish(event("large", size=4 * MEGABYTE))
    with pytest.raises(PositionLost):
        await near.history(GATEWAY, start, [LOBBY])
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    assert [list(each or []) for each in seen.resyncs] == [to(LOBBY)]
    await near.publish(event("after"))
    await until(lambda: seen.seen[-1:] == ["after"])


async def test_a_command_that_waits_for_the_host_fails_in_time_without_redis(nodes: Nodes) -> None:
    far, _ = await nodes.start(LOBBY, behind_proxy=True, timeout=0.2)
    await nodes.cut_off(far)
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(2):
            await far.command(RefreshRooms(GATEWAY, ToUsers((UserId("ada"),))))
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(2):
            await far.command(RefreshRooms(GatewayName("/new"), ToUsers((UserId("ada"),))))


async def test_a_frozen_redis_fails_a_command_in_time(nodes: Nodes) -> None:
    near, _ = await nodes.start(LOBBY, timeout=0.2)
    nodes.server.freeze()
    try:
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(2):
                await near.command(RefreshRooms(GATEWAY, ToUsers((UserId("ada"),))))
    finally:
        nodes.server.thaw()


async def test_a_cancelled_subscription_does_not_end_that_of_another_caller(nodes: Nodes) -> None:
    near, seen = await nodes.start()
    first = asyncio.create_task(near.subscribe(to(LOBBY)))
    await asyncio.sleep(0)
    second = asyncio.create_task(near.subscribe(to(LOBBY)))
    await asyncio.sleep(0)
    first.cancel()
    await second
    await near.publish(event("subscribed"))
    assert seen.seen == ["subscribed"]


class Fatal(BaseException):
    """An error that is not an `Exception`."""


async def test_a_receiver_that_fails_with_a_base_exception_costs_one_connection(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()

    def deliver(publication: Publication) -> int:
        seen.seen.append(publication.event)
        if publication.event == "bad":
            raise Fatal
        return 1

    monkeypatch.setattr(seen, "deliver", deliver)
    for name in ("before", "bad", "after"):
        await near.publish(event(name))
    await until(lambda: seen.seen == ["before", "bad", "after"])
    await until(lambda: far.ready)
    assert nodes.proxy.connections == 2


async def test_a_redis_that_falls_silent_while_a_connection_is_prepared_is_given_up(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_AFTER", 0.2)
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_TIMEOUT", 0.2)
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(300)]
    far, seen = await nodes.start(*rooms, behind_proxy=True)
    near, _ = await nodes.start()
    with nodes.server.client() as client:

        def scripts() -> int:
            return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])

        before = scripts()
        nodes.proxy.cut()
        await until(lambda: scripts() >= before + 10)  # of the 300 comparisons
    nodes.proxy.hold()  # Redis answers, but no messages arrive any more
    await until(lambda: nodes.proxy.connections >= 3)
    nodes.proxy.cut()
    await until(lambda: far.ready)
    await near.publish(event("after", rooms[7]))
    await until(lambda: seen.seen == ["after"])


async def test_stop_ends_every_call_that_waits(nodes: Nodes) -> None:
    far, _ = await nodes.start(LOBBY, behind_proxy=True, timeout=30.0)
    nodes.proxy.hold()
    calls = [
        asyncio.create_task(far.publish(event("lost"))),
        asyncio.create_task(far.publish(event("lost", volatile=True))),
        asyncio.create_task(far.command(CloseRoom(GATEWAY, RoomName("lobby")))),
        asyncio.create_task(far.subscribe(to(ATTIC))),
        asyncio.create_task(far.command(CloseRoom(GatewayName("/new"), RoomName("lobby")))),
        asyncio.create_task(far.position(GATEWAY)),
    ]
    await until(lambda: nodes.proxy.held)  # Redis has answered one of them, so all have begun
    async with asyncio.timeout(5):
        await far.stop()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [BrokerUnavailable] * len(calls)


async def test_a_stop_while_the_connection_is_made_closes_it(nodes: Nodes) -> None:
    for waits in (0.0, 0.001, 0.003, 0.01):
        broker = RedisBroker(RedisServer(nodes.proxy.url), prefix=nodes.prefix)
        await broker.start(Recorder())
        nodes.proxy.hold()
        await asyncio.sleep(waits)
        await broker.stop()
        nodes.proxy.cut()


class FinishesConnecting(RedisServer):
    """Takes no notice of a cancellation while it connects, as redis-py does at some points."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.connecting, self.cancelled = asyncio.Event(), asyncio.Event()

    async def connect(
        self, key: str, *, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[Link], None]
    ) -> Link:
        connecting = asyncio.ensure_future(super().connect(key, on_message=on_message, on_lost=on_lost))
        self.connecting.set()
        while not connecting.done():
            try:
                await asyncio.wait([connecting])
            except asyncio.CancelledError:
                self.cancelled.set()
        return connecting.result()


async def test_a_stop_while_a_new_connection_is_prepared_is_no_failure(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    server = FinishesConnecting(nodes.server.url)
    broker = RedisBroker(server, prefix=nodes.prefix)
    nodes.server.freeze()
    try:
        starting = asyncio.create_task(broker.start(Recorder()))
        await server.connecting.wait()
        stopping = asyncio.create_task(broker.stop())
        await server.cancelled.wait()
    finally:
        nodes.server.thaw()
    await stopping
    await starting
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_broker_starts_and_stops_again(nodes: Nodes) -> None:
    near, seen = await nodes.start(LOBBY)
    for number in range(3):
        await near.publish(event(f"{number}"))
        await near.stop()
        with pytest.raises(BrokerUnavailable):
            await near.publish(event("stopped"))
        await near.start(seen)
        await near.publish(event("not subscribed"))
        await near.subscribe(to(LOBBY))
    assert seen.seen == ["0", "1", "2"]


async def test_scripts_that_redis_has_forgotten_are_sent_again(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    near, seen = await nodes.start(LOBBY)
    with nodes.server.client() as client:
        for call in (
            lambda: near.publish(event("news")),
            lambda: near.subscribe(to(ATTIC)),
            lambda: near.position(GATEWAY),
            lambda: near.latest(GATEWAY, LOBBY.room, "news"),
            lambda: near.publish(event("volatile", ToUsers((UserId("ada"), UserId("bob"))), volatile=True)),
        ):
            client.script_flush()
            await call()
    await near.publish(event("more", ATTIC))
    assert seen.seen == ["news", "more"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_after_flushall_the_members_are_told_and_nothing_is_lost_from_then_on(nodes: Nodes) -> None:
    near, seen = await nodes.start(LOBBY, ATTIC)
    other, others = await nodes.start(LOBBY, ATTIC)
    await near.publish(event("before"))
    with nodes.server.client() as client:
        for key in client.scan_iter(f"{nodes.prefix}:*"):
            client.delete(key)
    async with asyncio.timeout(0.8):
        receipt = await near.publish(event("first"))
        await near.command(CloseRoom(GATEWAY, RoomName("attic")))
        await other.publish(event("second", ATTIC))
    assert receipt.delivered_locally == 1
    await until(lambda: others.seen[-1:] == ["second"])
    for each in (seen, others):
        assert each.seen == ["before", "first", "CloseRoom", "second"]
        assert each.resyncs == [None]


async def test_a_process_that_was_cut_off_carries_out_the_commands_of_a_new_history(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start(LOBBY)
    closed: list[str] = []

    def note(command: Command) -> None:
        assert isinstance(command, CloseRoom)
        closed.append(command.room)

    seen.on_command = note
    await near.command(CloseRoom(GATEWAY, RoomName("before")))
    await until(lambda: closed == ["before"])
    await nodes.cut_off(far)
    with nodes.server.client() as client:
        for key in client.scan_iter(f"{nodes.prefix}:*"):
            client.delete(key)
    await near.command(CloseRoom(GATEWAY, RoomName("during")))
    await near.publish(event("missed"))
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    await near.publish(event("after"))
    await until(lambda: seen.seen[-1:] == ["after"])
    assert closed == ["before", "during"]
    assert seen.resyncs == [None]


async def test_each_history_that_a_process_begins_has_another_epoch(nodes: Nodes) -> None:
    near, seen = await nodes.start(LOBBY)
    places = []
    with nodes.server.client() as client:
        for number in range(3):
            places.append((await near.publish(event(f"{number}"))).position)
            client.delete(*client.scan_iter(f"{nodes.prefix}:{{/}}:*"))
    assert len({str(place).partition("-")[0] for place in places}) == 3
    await until(lambda: seen.seen == ["0", "1", "2"])
    assert seen.resyncs == [None, None, None][: len(seen.resyncs)]
    assert len(seen.resyncs) >= 2


async def test_a_flush_without_traffic_is_found_by_the_comparison(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_channels.COMPARE_EVERY", 0.05)
    near, seen = await nodes.start(LOBBY)
    await near.publish(event("before"))
    with nodes.server.client() as client:
        for key in client.scan_iter(f"{nodes.prefix}:*"):
            client.delete(key)
    await until(lambda: bool(seen.resyncs))
    await near.publish(event("after"))
    assert seen.seen == ["before", "after"]
    assert seen.resyncs == [None]


async def test_numbers_that_went_back_are_a_lost_history(nodes: Nodes) -> None:
    """The same as after a failover to a replica that had not received everything."""
    far, seen = await nodes.start(LOBBY, ATTIC, behind_proxy=True)
    near, _ = await nodes.start()
    await near.publish(event("kept", ATTIC))
    state = f"{nodes.prefix}:{{/}}:s"
    with nodes.server.client() as client:
        kept = client.hget(state, "seq")
        future = int(kept) + 60_000_000
        client.hset(state, "seq", future)
        await near.publish(event("lost"))
        await until(lambda: seen.seen == ["kept", "lost"])
        await nodes.cut_off(far)
        client.hset(state, "seq", kept)
        client.delete(f"{nodes.prefix}:{{/}}:l:r:lobby", f"{nodes.prefix}:{{/}}:h:r:lobby")
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    await near.publish(event("after", ATTIC))
    await until(lambda: seen.seen == ["kept", "lost", "after"])


async def test_evicted_numbers_and_history_are_told(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()
    await near.publish(event("before"))
    await until(lambda: seen.seen == ["before"])
    await nodes.cut_off(far)
    await near.publish(event("evicted"))
    with nodes.server.client() as client:
        client.delete(f"{nodes.prefix}:{{/}}:l:r:lobby", f"{nodes.prefix}:{{/}}:h:r:lobby")
    await near.publish(event("after"))
    nodes.proxy.refusing = False
    await until(lambda: bool(seen.resyncs))
    assert [list(each or []) for each in seen.resyncs] == [to(LOBBY)]


GARBAGE = [
    b"",
    b"garbage",
    b":",
    b"a:b",
    b"a-b:c:d",
    b"\xff-1:0:P",
    b"-1:0:",
    b"-2:0:P\xff",
    b"-3:0:Cnonsense",
    b"e-" + b"9" * 5_000 + b":0:P",
    b"other-5:0:P",
    b"other-5:0:C",
    b"--5:0:P",
]


async def test_garbage_in_a_channel_breaks_nothing_and_is_one_log_line(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    near, seen = await nodes.start(LOBBY, behind_proxy=True)
    await near.publish(event("before"))
    with nodes.server.client() as client:
        for suffix in ("r:lobby", "c", f"probe:{near.links.node}"):
            for data in GARBAGE * 3:
                client.publish(f"{nodes.prefix}:{{/}}:{suffix}", data)
                client.publish(f"{nodes.prefix}:{{*}}:{suffix}", data)
    await near.publish(event("after"))
    await near.command(CloseRoom(GATEWAY, RoomName("lobby")))
    assert seen.seen == ["before", "after", "CloseRoom"]
    assert nodes.proxy.connections == 1
    assert seen.resyncs == []
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) <= 2  # one for each gateway, and one for the commands of all gateways
    assert all(record.exc_info is None for record in lines)


@pytest.mark.parametrize(
    "room",
    [
        "a\x00b",
        "{",
        "}",
        "a}{b",
        "x" * 4_000,
        "r:lobby",
        "lobby:h:r:lobby",
        "c",
        "*",
        "%7D",
        "\n\r\n$5",
        "ключ",
        "u:ada",
    ],
)
async def test_names_of_rooms_do_not_collide(nodes: Nodes, room: str) -> None:
    near, seen = await nodes.start(LOBBY, ADA, ToRoom(RoomName(room)))
    other, others = await nodes.start(LOBBY, ADA)
    start = await near.position(GATEWAY)
    await near.publish(event("lobby"))
    await near.publish(event("room", ToRoom(RoomName(room))))
    await other.publish(event("ada", ADA))
    await until(lambda: seen.seen == ["lobby", "room", "ada"] and others.seen == ["lobby", "ada"])
    assert [each.event for each in await near.history(GATEWAY, start, [ToRoom(RoomName(room))])] == ["room"]


@pytest.mark.parametrize("held_bytes", [0, 100, 5_000])
async def test_more_messages_than_may_be_held_are_read_from_history(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_feed.HELD_BYTES", held_bytes)
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(30)]
    far, seen = await nodes.start(*rooms, behind_proxy=True)
    near, expected = await nodes.start(*rooms)

    async def publish(numbers: range) -> None:
        for number in numbers:
            await near.publish(event(f"{number}", rooms[number % 30], size=200))

    await publish(range(60))
    await nodes.cut_off(far)
    await publish(range(60, 120))
    nodes.proxy.refusing = False
    await publish(range(120, 1_000))
    await until(lambda: len(seen.seen) >= 1_000)
    assert seen.seen == expected.seen
    assert seen.resyncs == []


@pytest.mark.parametrize("held_bytes", [0, 1_000])
async def test_catching_up_ends_while_others_publish_without_a_pause(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_feed.HELD_BYTES", held_bytes)
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(30)]
    far, seen = await nodes.start(*rooms, behind_proxy=True)
    near, expected = await nodes.start(*rooms)
    numbers = iter(range(100_000))
    published = 0

    async def publish() -> None:
        nonlocal published
        for number in numbers:
            await near.publish(event(f"{number}", rooms[number % 30], size=200))
            published += 1

    await near.publish(event("before", rooms[0]))
    await nodes.cut_off(far)
    publishing = [asyncio.create_task(publish()) for _ in range(8)]
    await until(lambda: published > 100)
    nodes.proxy.refusing = False
    await until(lambda: far.ready)
    await far.position(GATEWAY)  # all that was held is delivered
    assert len(seen.seen) > 100
    for task in publishing:
        task.cancel()
    await asyncio.gather(*publishing, return_exceptions=True)
    await far.position(GATEWAY)
    await until(lambda: seen.seen[-1] == expected.seen[-1])
    assert seen.seen == expected.seen
    assert seen.resyncs == []


async def test_a_room_that_is_new_while_messages_are_dropped_is_not_taken_for_lost(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_feed.HELD_BYTES", 0)
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(30)]
    far, seen = await nodes.start(*rooms, behind_proxy=True, timeout=30.0)
    near, _ = await nodes.start()
    await near.publish(event("before", rooms[0]))
    await nodes.cut_off(far)
    subscribing = asyncio.create_task(far.subscribe(to(LOBBY)))
    await near.publish(event("first"))
    nodes.proxy.refusing = False
    numbers = range(1, 200)
    for number in numbers:
        await near.publish(event(f"{number}", rooms[number % 30]))
    await subscribing
    await near.publish(event("second"))
    await until(lambda: seen.seen[-1:] == ["second"])
    assert seen.resyncs == []
    assert [name for name in seen.seen if name != "first"] == ["before", *map(str, numbers), "second"]


async def test_a_room_with_members_that_is_subscribed_to_later_misses_nothing_silently(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    far, seen = await nodes.start(*(ToRoom(RoomName(f"{number}")) for number in range(30)), behind_proxy=True)
    near, _ = await nodes.start()
    for turn in range(12):
        room = ToRoom(RoomName(f"new {turn}"))
        await nodes.cut_off(far)
        nodes.proxy.refusing = False
        await until(lambda: nodes.proxy.connections == turn + 2)  # noqa: B023  it is awaited here
        await asyncio.sleep(0.002 * turn)
        far.expect(to(room))  # it has members, who connected while Redis was away
        await near.publish(event(f"{turn}", room))
        await until(lambda: far.ready)
        await far.publish(event(f"after {turn}", room))
        await until(lambda: f"{turn}" in seen.seen or to(room) in seen.resyncs)  # noqa: B023  it is awaited here


async def test_members_that_a_slow_subscription_is_too_late_for_are_told(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()
    nodes.proxy.delay = 0.1
    far.expect(to(ATTIC))
    await near.publish(event("early", ATTIC))
    await until(lambda: seen.resyncs == [to(ATTIC)])
    nodes.proxy.delay = 0.0
    await near.publish(event("late", ATTIC))
    await until(lambda: seen.seen == ["late"])
    assert seen.resyncs == [to(ATTIC)]


async def test_they_are_told_also_if_a_newer_message_comes_first(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()
    nodes.proxy.delay = 0.1
    far.expect(to(ATTIC))
    await near.publish(event("early", ATTIC))
    nodes.proxy.hold()
    await nodes.proxy.until_held(b"subscribe")
    await near.publish(event("late", ATTIC))
    await nodes.proxy.until_held(b"late")
    nodes.proxy.release()  # the answer to the subscription and the message, in one piece
    await until(lambda: seen.seen == ["late"])
    await until(lambda: seen.resyncs == [to(ATTIC)])


async def test_members_of_a_room_that_is_subscribed_to_in_time_are_told_nothing(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True)
    near, _ = await nodes.start()
    far.expect(to(ATTIC))
    await far.position(GATEWAY)  # an answer that comes after that to the subscription
    await near.publish(event("news", ATTIC))
    await until(lambda: seen.seen == ["news"])
    assert seen.resyncs == []


async def test_rooms_that_are_subscribed_to_during_a_repair_keep_the_order(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.broker.redis_feed.HELD_BYTES", 100)
    monkeypatch.setattr("asgi_realtime.broker.redis_repair.COMPARED_AT_ONCE", 1)
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(30)]
    far, seen = await nodes.start(*rooms, behind_proxy=True, timeout=30.0)
    near, _ = await nodes.start()
    numbers = itertools.count()
    for turn in range(6):
        new = ToRoom(RoomName(f"new {turn}"))
        await nodes.cut_off(far)
        nodes.proxy.refusing = False
        await until(lambda: nodes.proxy.connections == turn + 2)  # noqa: B023  it is awaited here
        for _ in range(20 * turn):  # so the repair has come further in each turn
            await near.publish(event(f"{next(numbers)}", rooms[next(numbers) % 30]))
        subscribing = asyncio.create_task(far.subscribe(to(new)))
        while not subscribing.done():
            for target in (new, rooms[next(numbers) % 30]):
                await near.publish(event(f"{next(numbers)}", target))
        await subscribing
        await near.publish(event(f"{next(numbers)}", new))
        await until(lambda: far.ready)
        await far.position(GATEWAY)  # all that was held is delivered
    assert list(map(int, seen.seen)) == sorted(map(int, seen.seen))
    assert seen.resyncs == []


async def test_subscriptions_come_and_go_while_connections_are_cut(nodes: Nodes) -> None:
    far, seen = await nodes.start(LOBBY, behind_proxy=True, timeout=30.0)
    near, _ = await nodes.start()
    rooms = [ToRoom(RoomName(f"{number}")) for number in range(20)]
    for turn in range(10):
        changing = [asyncio.create_task(far.subscribe(to(room))) for room in rooms]
        await asyncio.sleep(0.001 * turn)
        nodes.proxy.cut()
        await far.unsubscribe(to(*rooms[:10]))
        await asyncio.gather(*changing)
        await near.publish(event(f"out {turn}", rooms[turn]))
        await near.publish(event(f"in {turn}", rooms[10 + turn]))
        await near.publish(event(f"lobby {turn}"))
        await until(functools.partial(seen.seen.__contains__, f"lobby {turn}"))
        await far.unsubscribe(to(*rooms))
    assert seen.seen == [f"{kind} {turn}" for turn in range(10) for kind in ("in", "lobby")]
