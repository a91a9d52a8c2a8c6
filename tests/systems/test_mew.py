"""Mew and Infra with a host in memory: each event reaches exactly its recipients."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Identity,
    InfraGateway,
    Limits,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    Realtime,
    RealtimeMiddleware,
    Settings,
    UserRooms,
    create_token,
)
from asgi_realtime.values.ids import RoomName
from tests.support.raw_engineio import RawWebSocketClient, raw_client
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import forgotten, until

SECRET = "a secret for tests that is long enough"
ADMIN = "an admin secret for tests"
SETTINGS = Settings(jwt_secret=SECRET, admin_secret=ADMIN, presence_grace=0.0)

Gate = Callable[[], Awaitable[None]]


class Service:
    """The permissions of the host. It reads them first, and answers once `gate` is open."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, set[str]]] = {}
        self.dms: dict[str, set[str]] = {}
        self.gate: Gate | None = None
        self.asked = 0

    def may(self, user_id: str, server_id: str, *channel_ids: str) -> None:
        self.users.setdefault(user_id, {})[server_id] = set(channel_ids)

    async def rooms_of(self, identity: Identity) -> UserRooms:
        servers = {server: set(channels) for server, channels in self.users.get(identity.user_id, {}).items()}
        self.asked += 1
        if self.gate is not None:
            await self.gate()
        return UserRooms(servers, tuple(self.dms.get(identity.user_id, ())))

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        if message.content == "fail":
            raise LookupError("no such channel")
        sent = {"from": identity.user_id, "content": message.content}
        await broadcaster.message_create(message.channel_id, sent, recipients=None)


class SyncService:
    """The same for a host with a synchronous database."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def rooms_of(self, identity: Identity) -> UserRooms:
        self.threads.add(threading.get_ident())
        return UserRooms({"s": ["c"]})

    def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> Any:
        self.threads.add(threading.get_ident())
        return broadcaster.message_create(message.channel_id, message.content, recipients=None)


class Running:
    """A running Mew and its clients."""

    def __init__(self, realtime: Realtime, server: LiveServer, service: Service, stack: AsyncExitStack) -> None:
        self.realtime = realtime
        self.service = service
        self.to = MewBroadcaster(realtime.broadcaster)
        self._server = server
        self._stack = stack
        self._marks = itertools.count()

    async def open(self, **options: Any) -> RawWebSocketClient:
        return await self._stack.enter_async_context(raw_client(self._server, "websocket", **options))

    async def enter(self, user_id: str) -> RawWebSocketClient:
        client = await self.open()
        assert (await client.connect({"token": create_token(user_id, SETTINGS)})).startswith("40")
        assert (await client.next()).startswith('42["PRESENCE_INITIAL_STATE"')
        assert await client.next() == '42["ready"]'
        return client

    async def received(self, client: RawWebSocketClient) -> list[Any]:
        """All events except presence, up to a marker that is sent now."""
        mark = f"MARK {next(self._marks)}"
        await self.realtime.broadcaster.broadcast_to_all(mark)
        events = [json.loads(packet[2:]) for packet in await client.until(mark)]
        return [event for event in events if not event[0].startswith(("PRESENCE_UPDATE", "MARK "))]


@asynccontextmanager
async def mew(serve: Serve, service: Any = None, limits: Limits | None = None) -> AsyncIterator[Running]:
    service = service or Service()
    gateways = [MewGateway(service=service, limits=limits), InfraGateway()]
    middleware = RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)
    server = await serve(middleware)
    async with AsyncExitStack() as stack:
        yield Running(middleware.realtime, server, service, stack)
    await until(lambda: not len(middleware.realtime.tasks) and not middleware.realtime.engineio.sessions)
    for gateway in gateways:
        rooms = middleware.realtime.hub.rooms(gateway.name)
        assert not rooms.names
        assert not rooms.everybody
    await server.stop()


def slow() -> tuple[asyncio.Semaphore, asyncio.Semaphore, Gate]:
    """Two semaphores, which count questions and answers, and the gate that uses them."""
    asked, answers = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def gate() -> None:
        asked.release()
        await answers.acquire()

    return asked, answers, gate


async def test_a_new_connection_gets_its_events_in_the_order_of_the_contract(serve: Serve) -> None:
    async with mew(serve) as running:
        running.service.may("ann", "s", "c")
        first = await running.enter("ann")
        (connection,) = running.realtime.hub.rooms(running.realtime.one(MewGateway).name).everybody
        assert connection.rooms == {"s", "c"}
        client = await running.open()
        assert (await client.connect({"token": create_token("bob", SETTINGS)})).startswith("40")
        assert await client.next() == '42["PRESENCE_INITIAL_STATE",["ann","bob"]]'
        assert await client.next() == '42["ready"]'
        assert await first.next() == '42["PRESENCE_UPDATE",{"userId":"bob","status":"online"}]'
        await running.enter("bob")
        client.vanish()
        assert await running.received(first) == []


async def test_a_token_may_be_in_any_of_its_places(serve: Serve) -> None:
    token = create_token("ann", SETTINGS)
    async with mew(serve) as running:
        for headers in ({"Cookie": f"mew_access_token={token}"}, {"Authorization": f"Bearer {token}"}):
            client = await running.open(headers=headers)
            assert (await client.connect()).startswith("40")
            assert await client.connect({"token": "forged"}, "/infra,") != ""
        client = await running.open(headers={"Cookie": f"mew_access_token={token}"})
        refused = '44{"message":"invalid credentials","data":{"code":"UNAUTHORIZED"}}'
        assert await client.connect({"token": "forged"}) == refused, "the first source with a token decides"
        client = await running.open()
        for auth in (None, {}, {"token": ""}, {"token": 1}, {"token": [token]}):
            assert await client.connect(auth) == refused


async def test_a_client_follows_a_channel_from_the_position_of_its_messages(serve: Serve) -> None:
    async with mew(serve) as running:
        running.service.may("ann", "s", "c", "d")
        running.service.dms["ann"] = {"dm"}
        client = await running.enter("ann")
        position = await running.to.position("c")
        for number in range(2):
            await running.to.message_create("c", number, recipients=None)
            await running.to.message_create("d", "elsewhere", recipients=None)
        seen = [["MESSAGE_CREATE", 0], ["MESSAGE_CREATE", "elsewhere"]] * 2
        seen[2] = ["MESSAGE_CREATE", 1]
        assert await running.received(client) == seen

        async def follow(channel_id: Any, position: Any) -> tuple[list[Any], Any]:
            await client.emit("channel/follow", {"channelId": channel_id, "position": position}, ack="7")
            events = []
            while not (packet := await client.next()).startswith("43"):
                events.append(json.loads(packet[2:]))
            return events, json.loads(packet[3:])[0]

        again = [["MESSAGE_CREATE", 0], ["MESSAGE_CREATE", 1]]
        assert await follow("c", position) == (again, {"success": True})
        assert await follow("c", await running.to.position("c")) == ([], {"success": True})
        for channel_id in ("dm", "s", "hidden", "ann"):
            events, answer = await follow(channel_id, position)
            assert (events, answer["code"]) == ([], "FORBIDDEN")
        running.service.may("ann", "s", "c", "d", "not yet entered")
        assert (await follow("not yet entered", position))[1]["code"] == "FORBIDDEN"
        running.service.may("ann", "s", "d")
        assert (await follow("c", position))[1]["code"] == "FORBIDDEN"
        assert (await follow("d", "another history-1"))[1] == {
            "success": False,
            "code": "POSITION_LOST",
            "message": "the position is not of this history",
        }
        assert (await follow("d", 7))[1]["code"] == "INVALID_MESSAGE"


async def test_messages_reach_the_channel_and_refusals_only_the_sender(serve: Serve) -> None:
    async with mew(serve) as running:
        for user in ("ann", "bob"):
            running.service.may(user, "s", "c")
        ann, bob, eve = [await running.enter(user) for user in ("ann", "bob", "eve")]
        await ann.emit("message/create", {"channelId": "c", "content": "hi"})
        assert (await ann.until("MESSAGE_CREATE")) is not None
        for wrong in ({"channelId": "c", "content": "fail"}, {"channelId": 1}, {}, None, "text"):
            await ann.emit("message/create", *([] if wrong is None else [wrong]))
            assert (await ann.next()) == '42["error",{"message":"Failed to create message"}]'
        sent = ["MESSAGE_CREATE", {"from": "ann", "content": "hi"}]
        assert await running.received(bob) == [sent]
        assert await running.received(eve) == []


async def test_a_synchronous_service_runs_in_threads(serve: Serve) -> None:
    service = SyncService()
    async with mew(serve, service) as running:
        ann = await running.enter("ann")
        await ann.emit("message/create", {"channelId": "c", "content": "hi"})
        assert '["MESSAGE_CREATE","hi"]' in await ann.next()
        assert threading.get_ident() not in service.threads


@pytest.mark.parametrize("failure", ["raises", "is slow", "client vanishes"])
async def test_a_failing_service_leaves_nothing_behind(
    failure: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps every log record, with its traceback and all objects on that stack.
    monkeypatch.setattr(logging.getLogger("asgi_realtime"), "filters", [lambda record: False])
    asked, _, gate = slow()

    async def fail() -> None:
        if failure == "raises":
            raise LookupError("secret of the host")
        await gate()

    seen: list[weakref.ref[Connection]] = []
    async with mew(serve, limits=Limits(handler_timeout=0.3 if failure == "is slow" else 30.0)) as running:
        await running.enter("watcher")
        running.service.gate = fail
        running.service.may("ann", "s", "c")
        client = await running.open()
        await client.send_packet("40" + json.dumps({"token": create_token("ann", SETTINGS)}))
        if failure != "raises":
            await asked.acquire()
            rooms = running.realtime.hub.rooms(running.realtime.one(MewGateway).name)
            seen += [weakref.ref(c.public) for c in rooms.everybody if c.identity.user_id == "ann"]
            assert seen
            await running.realtime.broadcaster.broadcast_to_all("LEAK")
            await running.realtime.broadcaster.broadcast_to_user("ann", "LEAK")
            del rooms
        if failure == "client vanishes":
            client.vanish()
            await until(lambda: not len(running.realtime.tasks))
        else:
            assert await client.next() == '44{"message":"internal error","data":{"code":"INTERNAL"}}'
            await client.send_packet("1")
            assert (await client.until_closed())[0] == []
        running.service.gate = None
        assert await running.realtime.broadcaster.online_users() == {"watcher"}
        await forgotten(seen)


async def test_every_event_reaches_the_recipients_of_the_contract(serve: Serve) -> None:
    async with mew(serve) as running:
        service, to = running.service, running.to
        service.may("ann", "s", "c", "secret")
        service.may("bob", "s", "c")
        ann, bob, eve = [await running.enter(user) for user in ("ann", "bob", "eve")]
        await to.message_update("secret", 1, recipients=None)
        await to.message_reaction_add("c", 2, recipients=None)
        await to.message_reaction_remove("c", 3, recipients=None)
        await to.channel_update("s", 4)
        await to.category_update("s", 5)
        await to.category_delete("s", "g")
        await to.sticker_create("s", 6)
        await to.sticker_update("s", 7)
        await to.sticker_delete("s", "t")
        await to.server_update("s", 8)
        await to.system_bot_config_update("bots", "b")
        server = [
            ["MESSAGE_REACTION_ADD", 2],
            ["MESSAGE_REACTION_REMOVE", 3],
            ["CHANNEL_UPDATE", 4],
            ["CATEGORY_UPDATE", 5],
            ["CATEGORY_DELETE", {"categoryId": "g"}],
            ["STICKER_CREATE", 6],
            ["STICKER_UPDATE", 7],
            ["STICKER_DELETE", {"stickerId": "t"}],
            ["SERVER_UPDATE", 8],
        ]
        assert await running.received(ann) == [["MESSAGE_UPDATE", 1], *server]
        assert await running.received(bob) == server
        assert await running.received(eve) == []

        await to.dm_channel_create("d", {"id": "d"}, recipients=["ann", "eve"])
        await to.message_create("d", "dm", recipients=["ann", "eve"])
        dm = [["DM_CHANNEL_CREATE", {"id": "d"}], ["MESSAGE_CREATE", "dm"]]
        assert await running.received(ann) == dm, "once, although the user is in the room too"
        assert await running.received(eve) == dm
        assert await running.received(bob) == []

        service.may("eve", "s", "c")
        await to.member_join("s", "eve")
        joined = ["MEMBER_JOIN", {"serverId": "s", "userId": "eve"}]
        await to.message_create("c", "welcome", recipients=None)
        for client in (ann, eve):
            assert await running.received(client) == [joined, ["MESSAGE_CREATE", "welcome"]]

        del service.users["bob"]
        await to.server_kick("s", "bob")
        await to.message_create("c", "gone", recipients=None)
        await to.server_update("s", 9)
        left = ["MEMBER_LEAVE", {"serverId": "s", "userId": "bob"}]
        after = [left, ["MESSAGE_CREATE", "gone"], ["SERVER_UPDATE", 9]]
        assert await running.received(ann) == after
        received = await running.received(bob)
        assert received[-1] == ["SERVER_KICK", {"serverId": "s"}]
        assert "gone" not in json.dumps(received)
        await running.received(eve)

        await to.channel_delete("s", "c")
        await to.message_create("c", "into an empty room", recipients=None)
        assert await running.received(eve) == [["CHANNEL_DELETE", {"channelId": "c", "serverId": "s"}]]
        await to.server_delete("s")
        await to.message_create("secret", "into an empty room", recipients=None)
        await to.server_update("s", 10)
        assert await running.received(eve) == [["SERVER_DELETE", {"serverId": "s"}]]


async def test_a_user_kicked_while_the_service_is_slow_receives_nothing_more(serve: Serve) -> None:
    async with mew(serve) as running:
        running.service.may("ann", "s", "c")
        ann, again = await running.enter("ann"), await running.enter("ann")
        asked, answers, running.service.gate = slow()
        refreshing = asyncio.create_task(running.to.permissions_update("s", channel_id="c"))
        for _ in range(2):
            await asked.acquire()  # the service has read that Ann is a member
        await running.to.message_create("c", "LEAK or not: Ann was a member", recipients=None)
        running.service.users.clear()
        await running.to.server_kick("s", "ann")
        await running.to.message_create("c", "LEAK", recipients=None)
        running.service.gate = None
        for _ in range(2):
            answers.release()
        await refreshing
        await running.to.message_create("c", "LEAK", recipients=None)
        await running.to.server_update("s", "LEAK")
        for client in (ann, again):
            assert await running.received(client) == [["SERVER_KICK", {"serverId": "s"}]]


async def test_a_lost_channel_does_not_leak_into_broadcasts_under_way(serve: Serve) -> None:
    async with mew(serve) as running:
        for user in ("ann", "bob"):
            running.service.may(user, "s", "c", "secret")
        ann, bob = await running.enter("ann"), await running.enter("bob")
        stop = asyncio.Event()
        revoked = False
        sent: list[tuple[int, bool]] = []

        async def talk(start: int) -> None:
            number = start
            while not stop.is_set():
                sent.append((number, revoked))
                await running.to.message_create("secret", number, recipients=None)
                await running.to.message_create("c", -number, recipients=None)
                number += 2
                await asyncio.sleep(0)

        async def gate() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        running.service.gate = gate
        talking = [asyncio.create_task(talk(start)) for start in (1, 2)]
        await until(lambda: len(sent) >= 20)
        # The database commits and the refresh is requested in one step. After it no event may arrive.
        running.service.may("ann", "s", "c")
        revoked = True
        await running.to.permissions_update("s", channel_id="secret", user_id="ann")
        await until(lambda: len([number for number, was_revoked in sent if was_revoked]) >= 20)
        stop.set()
        await asyncio.gather(*talking)
        received = [event for event in await running.received(ann) if event[0] == "MESSAGE_CREATE"]
        forbidden = {number for number, was_revoked in sent if was_revoked}
        assert forbidden
        assert not forbidden & {event[1] for event in received}
        open_channel = [-event[1] for event in received if event[1] < 0]
        for start in (1, 2):
            mine = [number for number in open_channel if number % 2 == start % 2]
            assert mine == [number for number, _ in sent if number % 2 == start % 2], "all other events arrived"
        assert {event[1] for event in await running.received(bob) if event[0] == "MESSAGE_CREATE"} >= forbidden


async def test_a_service_that_fails_during_a_refresh_closes_the_connection(serve: Serve) -> None:
    async def fail() -> None:
        raise LookupError("no database")

    async with mew(serve) as running:
        running.service.may("ann", "s", "c")
        ann = await running.enter("ann")
        running.service.gate = fail
        await running.to.permissions_update("s", user_id="ann")
        await running.to.message_create("c", "LEAK", recipients=None)
        assert await ann.until_closed() == ([], 1011)


async def test_a_channel_with_the_servers_own_id_and_a_user_id(serve: Serve) -> None:
    async with mew(serve) as running:
        running.service.may("ann", "1", "1", "bob")
        ann, bob = await running.enter("ann"), await running.enter("bob")
        await running.to.message_create("bob", "in a channel", recipients=None)
        assert await running.received(bob) == []
        assert await running.received(ann) == [["MESSAGE_CREATE", "in a channel"]]
        running.service.users.clear()
        await running.to.server_kick("1", "ann")
        (connection,) = running.realtime.hub.rooms(running.realtime.one(MewGateway).name).of_user(
            Identity(user_id="ann").user_id
        )
        assert connection.rooms == set()


# Infra


async def test_infra_requires_the_admin_secret_and_a_service_type(serve: Serve) -> None:
    async with mew(serve) as running:
        good = {"adminSecret": ADMIN, "serviceType": "bots"}
        service = await running.open()
        assert (await service.connect(good, "/infra,")).startswith("40/infra,")
        other = await running.open(headers={"X-Mew-Admin-Secret": ADMIN})
        assert (await other.connect({"serviceType": "mail"}, "/infra,")).startswith("40/infra,")
        refused = '44/infra,{"message":"invalid credentials","data":{"code":"UNAUTHORIZED"}}'
        stranger = await running.open()
        token = create_token("ann", SETTINGS)
        for auth in (
            None,
            {"token": token, "serviceType": "bots"},
            {"adminSecret": "wrong", "serviceType": "bots"},
            {"adminSecret": ADMIN},
            {"adminSecret": ADMIN, "serviceType": "sdk"},
            {"adminSecret": ADMIN, "serviceType": ""},
            {"adminSecret": ADMIN, "serviceType": 1},
        ):
            assert await stranger.connect(auth, "/infra,") == refused
        assert "UNAUTHORIZED" in await stranger.connect(good), "the secret is not accepted by Mew"
        await running.realtime.broadcaster.broadcast_to_all("LEAK")
        await running.to.system_bot_config_update("mail", "1")
        await running.to.system_bot_config_update("bots", "2")
        sent = '42/infra,["SYSTEM_BOT_CONFIG_UPDATE",{"serviceType":"%s","botId":"%s"}]'
        assert await service.next() == sent % ("bots", "2")
        assert await other.next() == sent % ("mail", "1")
        rooms = running.realtime.hub.rooms(running.realtime.one(InfraGateway).name)
        assert {name for c in rooms.everybody for name in c.rooms} == {RoomName("bots"), RoomName("mail")}


async def test_a_user_with_the_name_of_a_service(serve: Serve) -> None:
    async with mew(serve) as running:
        user = await running.enter("bots")
        service = await running.open()
        await service.connect({"adminSecret": ADMIN, "serviceType": "bots"}, "/infra,")
        await running.realtime.broadcaster.revoke_user("bots")
        assert (await user.until_closed())[1] == 1008
        await running.to.system_bot_config_update("bots", "1")
        assert "SYSTEM_BOT_CONFIG_UPDATE" in await service.next()
