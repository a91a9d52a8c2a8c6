"""The broadcaster: routing, options, errors, and the class for threads."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from asgi_realtime import (
    Broadcaster,
    BrokerUnavailable,
    ConfigurationError,
    Handshake,
    Identity,
    InvalidMessage,
    Limits,
    MewBroadcaster,
    PayloadTooLarge,
    Realtime,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    WebSocketGateway,
    get_broadcaster,
)
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.connection.connection import Connection
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.handlers.sync_connection import SyncConnection
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import GatewayName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription
from asgi_realtime.values.questions import Answer, NodeAnswer, Question
from tests.support.recording import RecordingTransport
from tests.support.waiting import no_user_online

SECRET = "a secret for tests that is long enough"


async def by_auth(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId(handshake.auth))


def make(**options: Any) -> Realtime:
    gateways = [
        SocketIOGateway("/", authenticator=by_auth),
        SocketIOGateway("/second", authenticator=by_auth),
        WebSocketGateway("/json", authenticator=by_auth),
    ]
    return Realtime(gateways=gateways, settings=Settings(jwt_secret=SECRET, recovery_window=0, **options))


async def enter(realtime: Realtime, user_id: str, index: int = 0) -> tuple[Connection, RecordingTransport]:
    gateway = realtime.gateways[index]
    assert isinstance(gateway, Gateway)
    transport = RecordingTransport(gateway=gateway)
    connection = await gateway.open(Handshake(gateway=gateway.name, auth=user_id), transport)
    transport.written.clear()
    return connection, transport


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Realtime]:
    async with make(**options) as realtime:
        yield realtime
        await realtime.tasks.until_idle()


async def test_events_go_to_the_first_gateway_unless_another_is_named() -> None:
    async with running() as realtime:
        broadcaster = realtime.broadcaster
        clients = [(await enter(realtime, "ann", index))[1] for index in range(3)]
        await broadcaster.broadcast_to_user("ann", "first")
        await broadcaster.broadcast_to_all("second", {"n": 1}, gateway="/second")
        await broadcaster.of("/json").broadcast_to_all("third", {"n": 1})
        await broadcaster.of("/json").of("/second").broadcast_to_all("fourth")
        realtime.hub.flush()
        assert [client.written for client in clients] == [
            ['42["first"]'],
            ['42/second,["second",{"n":1}]', '42/second,["fourth"]'],
            ['{"type":"third","data":{"n":1}}'],
        ]
        for wrong in ("/none", "", "second"):
            with pytest.raises(ConfigurationError, match="/second"):
                broadcaster.of(wrong)
            with pytest.raises(ConfigurationError):
                await broadcaster.broadcast_to_all("x", gateway=wrong)


async def test_a_broadcast_without_a_gateway_raises() -> None:
    async with Realtime(gateways=[], settings=Settings(jwt_secret=SECRET)) as realtime:
        with pytest.raises(ConfigurationError, match="gateways="):
            await realtime.broadcaster.broadcast_to_all("x")


async def test_broadcasts_leave_out_except_and_report_the_delivery_in_a_receipt() -> None:
    async with running() as realtime:
        broadcaster = realtime.broadcaster
        (ann, to_ann), (bob, to_bob) = await enter(realtime, "ann"), await enter(realtime, "bob")
        receipt = await broadcaster.broadcast_to_all("a", except_=ann.id)
        assert (receipt.delivered_locally, receipt.replicated) == (1, False)
        assert receipt.position is not None
        receipt = await broadcaster.broadcast_to_all("b", except_=[ann.id, bob.id], volatile=True)
        assert (receipt.delivered_locally, receipt.position) == (0, None)
        to_bob.stall()
        await broadcaster.broadcast_to_all("c", volatile=True)
        await broadcaster.broadcast_to_users(["ann", "ann", "unknown"], "d")
        await broadcaster.broadcast_to_users([], "e")
        realtime.hub.flush()
        to_bob.read()
        assert to_ann.written == ['42["c"]', '42["d"]']
        assert to_bob.written == ['42["a"]']


async def test_one_user_id_in_the_place_of_several_is_refused() -> None:
    async with running() as realtime:
        with pytest.raises(TypeError, match="user_ids must be several ids"):
            await realtime.broadcaster.broadcast_to_users("ann", "x")


async def test_a_key_makes_a_broadcast_idempotent() -> None:
    async with running() as realtime:
        _, client = await enter(realtime, "ann")
        receipts = [await realtime.broadcaster.broadcast_to_all("a", key="k") for _ in range(3)]
        at_once = await asyncio.gather(*[realtime.broadcaster.broadcast_to_all("b", key="l") for _ in range(3)])
        other = await realtime.broadcaster.of("/second").broadcast_to_all("a", key="k")
        assert receipts[0] == receipts[1] == receipts[2]
        assert at_once[0] == at_once[1] == at_once[2]
        assert other.delivered_locally == 0
        assert client.written == ['42["a"]', '42["b"]']


async def test_bytes_are_sent_as_attachments_and_unencodable_payloads_raise() -> None:
    async with running() as realtime:
        _, client = await enter(realtime, "ann")
        await realtime.broadcaster.broadcast_to_all("bytes", {"file": b"\x01", "more": (b"\x02",)})
        realtime.hub.flush()
        assert client.written == [
            '452-["bytes",{"file":{"_placeholder":true,"num":0},"more":[{"_placeholder":true,"num":1}]}]',
            "b'\\x01'",
            "b'\\x02'",
        ]
        for wrong in (object(), [1j]):
            with pytest.raises(TypeError):
                await realtime.broadcaster.broadcast_to_all("x", wrong)
        assert len(client.written) == 3


async def test_bytes_for_a_json_gateway_raise_at_the_caller() -> None:
    async with running() as realtime:
        _, client = await enter(realtime, "ann", 2)
        with pytest.raises(TypeError, match="base64"):
            await realtime.broadcaster.of("/json").broadcast_to_all("x", {"file": b"\x01"})
        assert client.written == []


async def test_broadcasts_over_a_limit_raise_at_the_caller() -> None:
    async with running(limits=Limits(publication_bytes=100, room_name_bytes=5)) as realtime:
        broadcaster = realtime.broadcaster
        _, client = await enter(realtime, "ann")
        with pytest.raises(PayloadTooLarge, match="MEW_PUBLICATION_BYTES"):
            await broadcaster.broadcast_to_all("x", "y" * 100)
        with pytest.raises(PayloadTooLarge):
            await broadcaster.broadcast_to_all("x", b"y" * 100)
        for room in ("", "much too long", "a\x00"):
            with pytest.raises(InvalidMessage):
                await broadcaster.broadcast_to_room(room, "x")
            with pytest.raises(InvalidMessage):
                await broadcaster.add_user_to_room("ann", room)
        assert client.written == []


async def test_membership_and_presence_calls_take_effect() -> None:
    async with running(presence_grace=0.0) as realtime:
        broadcaster = realtime.broadcaster
        connection, client = await enter(realtime, "ann")
        await broadcaster.add_user_to_room("ann", "server")
        await broadcaster.add_user_to_room("ann", "channel", parent="server")
        await broadcaster.broadcast_to_room("channel", "news")
        await broadcaster.remove_user_from_room("ann", "server")
        await broadcaster.broadcast_to_room("channel", "LEAK")
        await broadcaster.add_user_to_room("ann", "server")
        await broadcaster.close_room("server")
        await broadcaster.broadcast_to_room("server", "LEAK")
        await broadcaster.refresh_rooms("ann")
        await broadcaster.refresh_members("server")
        assert client.written == ['42["news"]']
        assert await broadcaster.online_users() == {"ann"}
        assert await broadcaster.is_online("ann")
        assert not await broadcaster.is_online("ann", gateway="/second")
        await broadcaster.disconnect_user("ann", reason="bye")
        assert client.closes == [(1008, "bye")]
        assert connection.closed
        await no_user_online(realtime)
        assert await broadcaster.online_users() == set()


class StuckBroker:
    """A broker that never answers, as if the network were down."""

    async def publish(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    async def command(self, command: Command) -> None:
        await asyncio.Event().wait()

    async def position(self, gateway: GatewayName) -> Position:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_stopped_or_stuck_broker_raises_broker_unavailable() -> None:
    realtime = make()
    for _ in range(2):  # before start-up, and after shutdown
        with pytest.raises(BrokerUnavailable):
            await realtime.broadcaster.broadcast_to_all("x")
        with pytest.raises(BrokerUnavailable):
            await realtime.broadcaster.close_room("x")
        async with realtime:
            await realtime.broadcaster.broadcast_to_all("x")
    registry = GatewayRegistry()
    registry.add(GatewayName("/"), SocketIODialect("/"), Limits())
    bridge = LoopBridge()
    stuck = Broadcaster(
        publisher=Publisher(
            broker=StuckBroker(),  # type: ignore[arg-type]
            gateways=registry,
            loop_bridge=bridge,
            publish_timeout=0.01,
        ),
        presence=realtime.presence,
        gateways=registry,
        loop_bridge=bridge,
        gateway=GatewayName("/"),
    )
    with pytest.raises(BrokerUnavailable, match="MEW_PUBLISH_TIMEOUT"):
        await stuck.broadcast_to_all("x")
    with pytest.raises(BrokerUnavailable, match="MEW_PUBLISH_TIMEOUT"):
        await stuck.close_room("x")
    with pytest.raises(BrokerUnavailable, match="MEW_PUBLISH_TIMEOUT"):
        await stuck.position("x")


async def test_the_sync_broadcaster_works_from_a_thread() -> None:
    async with running() as realtime:
        _, client = await enter(realtime, "ann")
        sync = realtime.broadcaster.sync

        def work() -> int:
            sync.add_user_to_room("ann", "room")
            sync.refresh_rooms("ann")
            sync.refresh_members("room")
            sync.broadcast_to_room("room", "a")
            sync.broadcast_to_user("ann", "b", {"n": 1})
            sync.broadcast_to_users(["ann"], "c")
            sync.remove_user_from_room("ann", "room")
            sync.close_room("room")
            sync.of("/second").broadcast_to_all("no recipient")
            with pytest.raises(TypeError):
                sync.broadcast_to_all("x", object())
            sync.run(MewBroadcaster(realtime.broadcaster).server_update("room", {}))
            assert sync.online_users() == {"ann"}
            assert sync.is_online("ann")
            sync.revoke_token("jti")
            sync.revoke_user("unknown")
            sync.disconnect_user("ann")
            return sync.broadcast_to_all("d").delivered_locally

        assert await asyncio.to_thread(work) == 0
        assert client.written == ['42["a"]', '42["b",{"n":1}]', '42["c"]']


def test_both_classes_have_the_same_methods_and_signatures() -> None:
    coroutines = {name for name, member in inspect.getmembers(Broadcaster) if inspect.iscoroutinefunction(member)}
    assert len(coroutines) > 10
    for name in coroutines:
        method = getattr(SyncBroadcaster, name)
        assert inspect.signature(method) == inspect.signature(getattr(Broadcaster, name)), name
        assert not any(each.kind is each.VAR_KEYWORD for each in inspect.signature(method).parameters.values())
        assert not inspect.iscoroutinefunction(inspect.unwrap(method))
        assert method.__doc__ and method.__qualname__ == f"Sync{getattr(Broadcaster, name).__qualname__}"
    public = [{name for name in dir(kind) if name[0] != "_"} for kind in (Broadcaster, SyncBroadcaster)]
    assert public[0] - public[1] == {"publish"}  # takes encoded payloads, which threads never have
    assert public[1] - public[0] == {"run", "asynchronous"}


async def test_an_argument_error_is_raised_in_the_thread() -> None:
    async with running() as realtime:
        mistakes: list[dict[str, Any]] = [{"excpet": "x"}, {"gateway": "/none"}]
        for wrong in mistakes:
            with pytest.raises((TypeError, ConfigurationError)):
                await asyncio.to_thread(functools.partial(realtime.broadcaster.sync.broadcast_to_all, "x", **wrong))


async def test_the_sync_broadcaster_works_from_the_thread_of_another_event_loop() -> None:
    async with running() as realtime:
        _, client = await enter(realtime, "ann")

        async def elsewhere() -> None:
            realtime.broadcaster.sync.broadcast_to_all("a")

        await asyncio.to_thread(asyncio.run, elsewhere())
        assert client.written == ['42["a"]']


async def test_a_sync_broadcaster_raises_where_it_cannot_work() -> None:
    realtime = make()
    sync = realtime.broadcaster.sync
    narrowed = sync.of("/second")
    for each in (sync, narrowed):
        with pytest.raises(RuntimeError, match="not running"):
            await asyncio.to_thread(each.broadcast_to_all, "x")
        async with realtime:
            with pytest.raises(RuntimeError, match="await the method of the async class"):
                each.broadcast_to_all("x")
        with pytest.raises(RuntimeError, match="not running"):
            await asyncio.to_thread(each.broadcast_to_all, "x")


async def test_get_broadcaster_raises_without_the_middleware() -> None:
    with pytest.raises(ConfigurationError, match="RealtimeMiddleware"):
        await get_broadcaster(HTTPConnection({"type": "http"}))


async def test_broadcasts_that_one_coroutine_awaits_arrive_in_order() -> None:
    async with running() as realtime:
        connection, client = await enter(realtime, "ann")
        await connection.join("r")

        async def burst(name: str) -> None:
            for number in range(20):
                await realtime.broadcaster.broadcast_to_room("r", name, number)

        await asyncio.gather(*[burst(name) for name in "abc"])
        for name in "abc":
            mine = [json.loads(text[2:])[1] for text in client.written if f'"{name}"' in text]
            assert mine == list(range(20))


async def test_a_broadcaster_without_a_hub_obeys_the_limits_of_each_gateway() -> None:
    class Published:
        """A receiver of all publications."""

        def __init__(self) -> None:
            self.events: list[str] = []

        def deliver(self, publication: Publication) -> int:
            self.events.append(f"{publication.gateway} {publication.event}")
            return 0

        def apply(self, command: Command, position: Position | None) -> None:
            self.events.append(type(command).__name__)

        def numbered(self, gateway: GatewayName, position: Position) -> None:
            pass

        def subscription_for(self, command: Command) -> Subscription | None:
            return None

        def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
            self.events.append("resync")

        def acknowledged(self, number: int, values: list[Json]) -> None:
            raise AssertionError

        def answer(self, question: Question) -> NodeAnswer:
            return NodeAnswer()

    broker, published = MemoryBroker(), Published()
    await broker.start(published)
    registry = GatewayRegistry()
    registry.add(GatewayName("/wide"), SocketIODialect("/wide"), Limits(room_name_bytes=9))
    registry.add(GatewayName("/narrow"), JSONDialect(), Limits(room_name_bytes=3, event_name_bytes=3))
    bridge = LoopBridge()
    bridge.bind(asyncio.get_running_loop())
    worker = Broadcaster(
        publisher=Publisher(broker=broker, gateways=registry, loop_bridge=bridge, publish_timeout=1.0),
        presence=MemoryPresence(),
        gateways=registry,
        loop_bridge=bridge,
        gateway=GatewayName("/wide"),
    )
    await worker.broadcast_to_room("kitchen", "dinner")
    await worker.close_room("kitchen")
    narrow = worker.of("/narrow")
    with pytest.raises(InvalidMessage, match="at most 3 bytes"):
        await narrow.broadcast_to_room("kitchen", "tea")
    with pytest.raises(InvalidMessage, match="at most 3 bytes"):
        await narrow.close_room("kitchen")
    with pytest.raises(ValueError, match="MEW_EVENT_NAME_BYTES"):
        await narrow.broadcast_to_room("bar", "dinner")
    await narrow.broadcast_to_room("bar", "tea")
    assert published.events == ["/wide dinner", "CloseRoom", "/narrow tea"]
    await broker.stop()


async def test_a_position_is_before_what_is_broadcast_after_it() -> None:
    async with running() as realtime:
        broadcaster = realtime.broadcaster
        before = await broadcaster.position("room")
        receipt = await broadcaster.broadcast_to_room("room", "news")
        assert await broadcaster.position("room", gateway="/") == receipt.position != before
        assert await asyncio.to_thread(broadcaster.sync.position, "room") == receipt.position
        with pytest.raises(ConfigurationError):
            await broadcaster.position("room", gateway="/none")
        with pytest.raises(InvalidMessage):
            await broadcaster.position("x" * 1000)


def test_a_connection_for_threads_takes_the_same_types() -> None:
    compared = 0
    for name, method in vars(SyncConnection).items():
        if inspect.iscoroutinefunction(getattr(Connection, name, None)):
            assert inspect.signature(method) == inspect.signature(getattr(Connection, name)), name
            compared += 1
    assert compared >= 5


async def test_one_process_answers_for_itself() -> None:
    async with running() as realtime:
        connection, _ = await enter(realtime, "ann")
        await connection.join("r")
        broadcaster = realtime.broadcaster
        assert await broadcaster.room_size("r") == Answer(1, complete=True)
        [found] = (await broadcaster.connections("ann")).value
        [node] = (await broadcaster.nodes()).value
        assert (found.id, found.node) == (connection.id, node.id)
        assert node.connections["/"] == 1
        assert (await asyncio.to_thread(broadcaster.sync.room_size, "elsewhere")).value == 0
        with pytest.raises(ConfigurationError):
            await broadcaster.room_size("r", gateway="/none")
