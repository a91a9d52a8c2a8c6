"""Gateways behind a simulated network: a client is accepted once its subscriptions are active."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asgi_realtime import (
    BrokerUnavailable,
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    Connection,
    Handshake,
    Identity,
    Realtime,
    Refusal,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.backends import Backends
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.values.ids import GatewayName, RoomName
from tests.support.chat_app import Service
from tests.support.distant_broker import DistantBroker
from tests.support.distant_presence import DistantPresence
from tests.support.recording import RecordingTransport

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", publish_timeout=0.5)


async def by_auth(handshake: Handshake) -> Identity:
    return Identity(user_id=handshake.auth)


class Site(SocketIOGateway):
    """A gateway with rooms from its host, and handlers that join further rooms."""

    rooms: Mapping[str, str | None] = {f"room {number}": None for number in range(100)}

    async def rooms_of(self, identity: Identity) -> Any:
        return self.rooms

    async def on_connect(self, connection: Connection) -> None:
        internal = self.context.hub.rooms(self.name).get(connection.id)
        assert internal is not None
        await self.context.hub.enter(internal)

    @on("join")
    async def join(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return "joined"


@asynccontextmanager
async def running(*gateways: Gateway) -> AsyncIterator[tuple[Realtime, DistantBroker]]:
    async with running_with(DistantPresence(MemoryPresence(grace=0.0)), *gateways) as (realtime, broker):
        yield realtime, broker


@asynccontextmanager
async def running_with(
    presence: DistantPresence, *gateways: Gateway, seed: int = 7
) -> AsyncIterator[tuple[Realtime, DistantBroker]]:
    broker = DistantBroker(seed=seed)
    async with Realtime(
        gateways=gateways or [Site("/", authenticator=by_auth)],
        settings=SETTINGS,
        backends=Backends(broker, presence),
    ) as realtime:
        yield realtime, broker


async def open_(realtime: Realtime, user_id: str = "ann", index: int = 0) -> tuple[Connection, RecordingTransport]:
    gateway = realtime.gateways[index]
    assert isinstance(gateway, Gateway)
    transport = RecordingTransport(gateway=gateway)
    return await gateway.open(Handshake(gateway=gateway.name, auth=user_id), transport), transport


async def test_connect_is_answered_when_all_subscriptions_are_active_after_two_broker_calls() -> None:
    async with running() as (realtime, broker):
        broker.subscribing.pause()
        transport = RecordingTransport()
        gateway = realtime.gateways[0]
        assert isinstance(gateway, Gateway)
        opening = asyncio.create_task(gateway.open(Handshake(gateway=gateway.name, auth="ann"), transport))
        await broker.subscribing.holds_back()
        assert not opening.done()
        assert transport.written == []
        broker.subscribing.resume()
        await opening
        transport.read()
        assert transport.events == ["ACCEPTED"]
        assert [len(call) for call in broker.called("subscribe") if isinstance(call, tuple)] == [2, 100]
        assert len(broker.active_subscriptions) == realtime.hub.subscriptions == 102
        for room in ("room 0", "room 99"):
            receipt = await realtime.broadcaster.broadcast_to_room(room, "news")
            assert receipt.delivered_locally == 1
        await open_(realtime, "bob")
        assert [len(call) for call in broker.called("subscribe") if isinstance(call, tuple)] == [2, 100, 1]


@pytest.mark.parametrize("gateway", [Site("/", authenticator=by_auth), WebSocketGateway("/ws", authenticator=by_auth)])
async def test_with_the_broker_down_clients_are_refused_with_one_log_line(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(gateway) as (realtime, broker):
        broker.failing.add("subscribe")
        for _ in range(5):
            with pytest.raises(Refusal) as refused:
                await open_(realtime)
            assert refused.value.reply_code == "INTERNAL"
            if isinstance(gateway, WebSocketGateway):
                assert gateway.close_code(refused.value) == 1013
        assert len(realtime.hub.rooms(gateway.name)) == 0
        assert await realtime.broadcaster.online_users() == set()
        assert realtime.hub.subscriptions == 0
        assert broker.active_subscriptions == set()
        assert [record.message for record in caplog.records if "broker" in record.message] == [
            f"{gateway.name} refused a client: the broker is unavailable"
        ]
        assert not any(record.exc_info for record in caplog.records)
        broker.failing.clear()
        await open_(realtime)


async def test_a_user_who_is_disconnected_while_subscribing_is_refused() -> None:
    async with running() as (realtime, broker):
        broker.subscribing.pause()
        opening = asyncio.create_task(open_(realtime))
        await broker.subscribing.holds_back()
        await realtime.broadcaster.disconnect_user("ann", code=4001, reason="not today")
        broker.subscribing.resume()
        with pytest.raises(Refusal, match="not today"):
            await opening
        assert len(realtime.hub.rooms(GatewayName("/"))) == 0


async def test_a_join_in_a_handler_returns_when_the_subscription_is_active() -> None:
    async with running() as (realtime, broker):
        connection, _ = await open_(realtime)
        gateway = realtime.gateways[0]
        assert isinstance(gateway, Gateway)
        internal = realtime.hub.rooms(gateway.name).get(connection.id)
        assert internal is not None
        answers: list[Any] = []
        broker.subscribing.pause()
        gateway.receive(internal, "join", ["kitchen"], answers.append, time.monotonic())
        await broker.subscribing.holds_back()
        assert answers == []
        broker.subscribing.resume()
        await realtime.tasks.until_idle()
        assert answers.pop() == ["joined"]
        broker.failing.add("subscribe")
        gateway.receive(internal, "join", ["attic"], answers.append, time.monotonic())
        await realtime.tasks.until_idle()
        assert [answer.code for [answer] in answers] == ["INTERNAL"]
        assert RoomName("kitchen") in connection.rooms
        assert RoomName("attic") not in connection.rooms
        with pytest.raises(BrokerUnavailable):
            await connection.join("attic")


class Leavers(Site):
    """Records the users whose connections have ended."""

    def __init__(self) -> None:
        super().__init__("/", authenticator=by_auth)
        self.left: list[str] = []

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append(connection.identity.user_id)


def fail(presence: DistantPresence, method: str) -> None:
    presence.failing.add(method)


def hang(presence: DistantPresence, method: str) -> None:
    presence.requests.pause()


on_every_failure = pytest.mark.parametrize("failure", [fail, hang])


@on_every_failure
async def test_while_presence_is_down_clients_are_refused_in_time_with_one_log_line(
    failure: Callable[[DistantPresence, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    presence = DistantPresence(MemoryPresence(grace=0.0))
    async with running_with(presence) as (realtime, _):
        failure(presence, "join")
        for _ in range(2):
            with pytest.raises(Refusal) as refused:
                async with asyncio.timeout(5.0):
                    await open_(realtime)
            assert refused.value.reply_code == "INTERNAL"
        assert len(realtime.hub.rooms(GatewayName("/"))) == 0
        assert [record.message for record in caplog.records] == ["/ refused a client: the broker is unavailable"]
        presence.failing.clear()
        presence.requests.resume()
        await open_(realtime)
        assert await realtime.broadcaster.online_users() == {"ann"}


@on_every_failure
async def test_while_presence_is_down_a_host_that_asks_for_users_online_gets_an_error_in_time(
    failure: Callable[[DistantPresence, str], None],
) -> None:
    presence = DistantPresence(MemoryPresence(grace=0.0))
    async with running_with(presence) as (realtime, _):
        failure(presence, "online")
        failure(presence, "is_online")
        async with asyncio.timeout(5.0):
            with pytest.raises(BrokerUnavailable):
                await realtime.broadcaster.online_users()
            with pytest.raises(BrokerUnavailable):
                await realtime.broadcaster.is_online("ann")


@on_every_failure
async def test_while_presence_is_down_a_disconnect_still_calls_on_disconnect(
    failure: Callable[[DistantPresence, str], None],
) -> None:
    presence, gateway = DistantPresence(MemoryPresence(grace=0.0)), Leavers()
    async with running_with(presence, gateway) as (realtime, _):
        connection, _ = await open_(realtime)
        failure(presence, "leave")
        await connection.close()
        async with asyncio.timeout(5.0):
            await realtime.tasks.until_idle()
        assert gateway.left == ["ann"]


async def test_a_failing_presence_does_not_hide_why_a_connect_failed(caplog: pytest.LogCaptureFixture) -> None:
    presence = DistantPresence(MemoryPresence(grace=0.0))
    async with running_with(presence) as (realtime, _):
        presence.failing.add("leave")
        gateway = realtime.gateways[0]
        assert isinstance(gateway, Gateway)
        with pytest.raises(Refusal, match="gone"):
            await gateway.open(Handshake(gateway=gateway.name, auth="ann"), RecordingTransport(gone=True))


async def test_a_chat_client_that_is_refused_after_on_connect_ends_no_older_device(tmp_path: Path) -> None:
    presence, chat = (
        DistantPresence(MemoryPresence(grace=0.0)),
        ChatGateway(service=Service(tmp_path / "chat.db"), authenticator=by_auth),
    )
    async with running_with(presence, chat) as (realtime, broker):
        first, to_first = await open_(realtime)
        await realtime.tasks.until_idle()
        presence.failing.add("join")
        with pytest.raises(Refusal):
            await open_(realtime)
        await realtime.tasks.until_idle()
        assert not first.closed
        presence.failing.clear()
        broker.failing.add("command")
        _, to_second = await open_(realtime)
        await realtime.tasks.until_idle()
        assert to_second.closes == [(1013, "try again later")]
        assert not first.closed
        broker.failing.clear()
        _, to_third = await open_(realtime)
        await realtime.tasks.until_idle()
        assert to_first.closes == [(1008, "another device")]
        assert to_third.closes == []


TO_ANN = ChatMessage(id="m1", from_id="bob", to_id="ann", chat_type="single", content="x", timestamp=1)


def messages(transport: RecordingTransport) -> list[str]:
    transport.read()
    return [event for event in transport.events if event == "message"]


async def test_a_chat_message_that_arrives_while_the_process_subscribes_is_pending_if_the_client_is_refused(
    tmp_path: Path,
) -> None:
    presence, service = DistantPresence(MemoryPresence(grace=0.0)), Service(tmp_path / "chat.db")
    chat = ChatGateway(service=service, authenticator=by_auth)
    async with running_with(presence, chat) as (realtime, broker):
        await open_(realtime, "bob")
        service.save_message(Identity(user_id="bob"), TO_ANN)
        broker.subscribing.pause()
        presence.failing.add("join")
        opening = asyncio.create_task(open_(realtime))
        await broker.subscribing.holds_back()
        # It goes to both sides, and arrives because Bob's side is subscribed.
        receipt = await ChatBroadcaster(chat.broadcaster).message(TO_ANN)
        assert receipt.delivered_locally == 2
        broker.subscribing.resume()
        with pytest.raises(Refusal):
            await opening
        presence.failing.clear()
        _, transport = await open_(realtime)
        await realtime.tasks.until_idle()
        assert len(messages(transport)) == 1
        assert service.rows("SELECT * FROM owed WHERE user_id = 'ann'") == []


@pytest.mark.parametrize("seed", range(8))
async def test_a_chat_message_that_is_sent_while_a_client_connects_comes_once(seed: int, tmp_path: Path) -> None:
    presence, service = DistantPresence(MemoryPresence(grace=0.0)), Service(tmp_path / "chat.db")
    chat = ChatGateway(service=service, authenticator=by_auth)
    async with running_with(presence, chat, seed=seed) as (realtime, _):
        service.save_message(Identity(user_id="bob"), TO_ANN)
        opening = asyncio.create_task(open_(realtime))
        for _ in range(seed):
            await asyncio.sleep(0)
        await ChatBroadcaster(chat.broadcaster).message(TO_ANN)
        _, transport = await opening
        await realtime.tasks.until_idle()
        assert len(messages(transport)) == 1
        assert service.rows("SELECT * FROM owed") == []
