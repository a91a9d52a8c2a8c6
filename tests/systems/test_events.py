"""Events in one process: rooms, messages, refusals, limits, and the functions of a host."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from asgi_realtime import (
    Connection,
    EventsBroadcaster,
    EventsGateway,
    Forbidden,
    Identity,
    Limits,
    MewGateway,
    RealtimeMiddleware,
    Settings,
    UserRooms,
    get_events_broadcaster,
    on,
)
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.testing.socket import Socket
from asgi_realtime.values.json import Json
from tests.support.held_permission import HeldPermission
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
NO_ACCESS, TOO_LONG, IMPROPER, TOO_OFTEN, MALFORMED, INTERNAL = (
    *("无权访问此房间", "消息过长", "包含不当内容", "消息发送过于频繁", "消息格式错误"),
    "服务器内部错误",
)


def no(message: str) -> dict[str, Json]:
    return {"success": False, "message": message}


class Running:
    """A running app with Events, and its clients."""

    def __init__(self, client: RealtimeTestClient, stack: AsyncExitStack) -> None:
        self.client = client
        self.to = EventsBroadcaster(client.broadcaster.of("/events"))
        self._stack = stack

    async def enter(self, user_id: str, **options: Any) -> Socket:
        token = self.client.token(user_id)
        return await self._stack.enter_async_context(self.client.connect("/events", token=token, **options))

    async def enter_room(self, room: str, *user_ids: str) -> list[Socket]:
        """Clients in a room, with the join events of the others already taken."""
        sockets = [await self.enter(user_id) for user_id in user_ids]
        for number, socket in enumerate(sockets):
            assert await socket.call("join", {"room": room}) == {"success": True, "room": room}
            for earlier in sockets[:number]:
                await earlier.expect("user:joined")
        return sockets


@asynccontextmanager
async def events(gateway: EventsGateway | None = None) -> AsyncIterator[Running]:
    app = RealtimeMiddleware(FastAPI(), gateways=[gateway or EventsGateway()], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, AsyncExitStack() as stack:
        yield Running(client, stack)


# Rooms


async def test_joining_is_announced_to_the_others_once() -> None:
    async with events() as running:
        ada, bob = await running.enter("ada"), await running.enter("bob")
        for _ in range(2):
            assert await ada.call("join", {"room": "r"}) == {"success": True, "room": "r"}
        for _ in range(2):
            assert await bob.call("join", {"room": "r"}) == {"success": True, "room": "r"}
        await bob.expect_nothing()
        assert [(event.name, event.data) for event in ada.events] == [("user:joined", {"userId": "bob", "room": "r"})]
        assert ada.rooms == bob.rooms == {"r"}


async def test_a_client_may_join_from_a_position() -> None:
    async with events() as running:
        ada = await running.enter("ada")
        position = await running.to.position("r")
        for number in range(2):
            await running.to.broadcast_to_room("r", "n", number)
        assert await ada.call("join", {"room": "r", "position": position}) == {"success": True, "room": "r"}
        await running.to.broadcast_to_room("r", "n", 2)
        assert [(await ada.expect("n")).data for _ in range(3)] == [0, 1, 2]
        lost = {"success": False, "message": "历史记录不完整", "code": "POSITION_LOST"}
        for wrong in ("", "another history-1"):
            assert await ada.call("join", {"room": "elsewhere", "position": wrong}) == lost
        assert await ada.call("join", {"room": "elsewhere", "position": 1}) == no(MALFORMED)
        assert ada.rooms == {"r"}
        assert await ada.call("join", {"room": "elsewhere", "position": None}) == {"success": True, "room": "elsewhere"}


async def test_leaving_is_announced_to_the_remaining_members() -> None:
    async with events() as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        for _ in range(2):
            assert await bob.call("leave", {"room": "r"}) == {"success": True, "room": "r"}
        await bob.expect_nothing()
        assert (await ada.expect("user:left")).data == {"userId": "bob", "room": "r"}
        await ada.expect_nothing()
        assert not bob.rooms
        assert await bob.call("message", {"content": "x", "room": "r"}) == no(NO_ACCESS)


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_disconnecting_leaves_every_room(how: str) -> None:
    async with events() as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        await bob.call("join", {"room": "alone"})
        await bob.call("join", {"room": "both"})
        await ada.call("join", {"room": "both"})
        await (bob.close() if how == "close" else bob.drop())
        left = [(await ada.expect("user:left")).data for _ in range(2)]
        assert sorted(left, key=lambda data: str(data["room"])) == [
            {"userId": "bob", "room": "both"},
            {"userId": "bob", "room": "r"},
        ]
        await ada.expect_nothing()


async def test_a_client_that_leaves_while_the_host_decides_is_never_a_member() -> None:
    permission = HeldPermission()

    async def may_join(identity: Identity, room: str) -> bool:
        return identity.user_id != "bob" or await permission()

    async with events(EventsGateway(may_join=may_join)) as running:
        [ada] = await running.enter_room("r", "ada")
        bob = await running.enter("bob")
        await bob.send("join", {"room": "r"})
        await permission.asked.wait()
        await bob.drop()
        permission.answer.set()
        await ada.expect_nothing()


async def test_a_client_removed_while_the_host_decides_stays_removed() -> None:
    permission = HeldPermission()

    async def may_join(identity: Identity, room: str) -> bool:
        return identity.user_id != "bob" or await permission()

    async with events(EventsGateway(may_join=may_join)) as running:
        [ada] = await running.enter_room("r", "ada")
        bob = await running.enter("bob")
        joining = asyncio.create_task(bob.call("join", {"room": "r"}))
        await permission.asked.wait()
        await ada.call("message", {"content": "is bob in?", "room": "r"})
        await running.to.user_left("bob", "r")
        await ada.call("message", {"content": "he is out", "room": "r"})
        await ada.call("message", {"content": "for all"})
        permission.answer.set()
        assert await joining == no(NO_ACCESS)
        assert [event.data["content"] for event in bob.events] == ["for all"]
        assert not bob.rooms


# Messages


async def test_a_message_goes_to_the_whole_room_or_to_all_but_the_sender() -> None:
    async with events() as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        eve, tab = await running.enter("eve"), await running.enter("ada")
        assert await ada.call("message", {"content": "hello", "room": "r"}) == {"success": True}
        for socket in (ada, bob):
            message = (await socket.expect("message")).data
            assert message == {"senderId": "ada", "content": "hello", "timestamp": message["timestamp"]}
        assert await ada.call("message", {"content": "all"}) == {"success": True}
        for socket in (bob, eve, tab):
            assert (await socket.expect("message")).data["content"] == "all"
        for socket in (ada, bob, eve, tab):
            await socket.expect_nothing()


async def test_content_is_counted_in_characters() -> None:
    async with events() as running:
        ada, bob = await running.enter("ada"), await running.enter("bob")
        for character in ("a", "字", "😀"):
            assert await ada.call("message", {"content": character * 1000}) == {"success": True}
            assert (await bob.expect("message")).data["content"] == character * 1000
            assert await ada.call("message", {"content": character * 1001}) == no(TOO_LONG)
        await bob.expect_nothing()


MALFORMED_EVENTS: list[tuple[str, list[Json]]] = [
    ("join", []),
    ("join", ["r"]),
    ("join", [{}]),
    ("join", [{"room": 1}]),
    ("join", [{"room": ""}]),
    ("join", [{"room": "r\n"}]),
    ("join", [{"room": "r" * 201}]),
    ("leave", [{"room": None}]),
    ("message", [{}]),
    ("message", [{"content": 1}]),
    ("message", [{"content": b"bytes"}]),
    ("message", [{"content": "x", "room": 1}]),
    ("shout", [{"content": "x"}]),
]


async def test_malformed_input_is_refused_with_the_messages_of_the_contract() -> None:
    async with events() as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        for event, args in MALFORMED_EVENTS:
            assert await ada.call(event, *args) == no(MALFORMED), (event, args)
            await ada.send(event, *args)
            assert (await ada.expect("error")).data == {"message": MALFORMED}, (event, args)
        await ada.expect_nothing()
        await bob.expect_nothing()


async def test_only_members_speak_in_a_room() -> None:
    async with events() as running:
        [ada] = await running.enter_room("r", "ada")
        eve = await running.enter("eve")
        for room in ("r", "nowhere", ""):
            assert await eve.call("message", {"content": "x", "room": room}) == no(NO_ACCESS)
        await eve.send("message", {"content": "x", "room": "r"})
        assert (await eve.expect("error")).data == {"message": NO_ACCESS}
        await ada.expect_nothing()


# The host's functions


async def may_join_async(identity: Identity, room: str) -> bool:
    return room == f"{identity.user_id}'s"


def may_join_sync(identity: Identity, room: str) -> bool:
    assert threading.current_thread() is not threading.main_thread()
    return room == f"{identity.user_id}'s"


def may_join_raising(identity: Identity, room: str) -> bool:
    if room != f"{identity.user_id}'s":
        raise Forbidden("a text of the host's own")
    return True


@pytest.mark.parametrize("may_join", [may_join_async, may_join_sync, may_join_raising])
async def test_the_host_decides_who_joins(may_join: Any) -> None:
    async with events(EventsGateway(may_join=may_join)) as running:
        [ada] = await running.enter_room("ada's", "ada")
        eve = await running.enter("eve")
        assert await eve.call("join", {"room": "ada's"}) == no(NO_ACCESS)
        await eve.send("join", {"room": "ada's"})
        assert (await eve.expect("error")).data == {"message": NO_ACCESS}
        assert not eve.rooms
        await ada.expect_nothing()


async def test_the_host_filters_messages() -> None:
    def content_filter(identity: Identity, content: str) -> bool:
        return "damn" not in content or identity.user_id == "sailor"

    async with events(EventsGateway(content_filter=content_filter)) as running:
        ada, sailor = await running.enter_room("r", "ada", "sailor")
        for room in ({}, {"room": "r"}):
            assert await ada.call("message", {"content": "damn", **room}) == no(IMPROPER)
        assert await ada.call("message", {"content": "d" * 1001 + "damn"}) == no(TOO_LONG)
        await sailor.expect_nothing()
        assert await sailor.call("message", {"content": "damn"}) == {"success": True}
        assert (await ada.expect("message")).data["content"] == "damn"


async def test_a_failing_host_callback_is_an_internal_error_and_not_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(identity: Identity, text: str) -> bool:
        raise LookupError("no database")

    async with events(EventsGateway(may_join=fail, content_filter=fail)) as running:
        ada = await running.enter("ada")
        with caplog.at_level(logging.ERROR):
            assert await ada.call("join", {"room": "r"}) == no(INTERNAL)
            assert await ada.call("message", {"content": "x"}) == no(INTERNAL)
            await ada.send("message", {"content": "x"})
            assert (await ada.expect("error")).data == {"message": INTERNAL}
        assert len(caplog.records) == 2  # the second failure of `message` has the same cause
        assert not ada.rooms


async def test_no_client_waits_for_another_clients_authorization() -> None:
    asked = {"join": asyncio.Event(), "message": asyncio.Event()}

    async def slow(what: str, identity: Identity) -> bool:
        if identity.user_id == "ada":
            asked[what].set()
            await asyncio.Event().wait()  # never returns: the time limit of handlers ends it
        return True

    gateway = EventsGateway(
        may_join=lambda identity, room: slow("join", identity),
        content_filter=lambda identity, content: slow("message", identity),
        limits=Limits(handler_timeout=1.0),
    )
    async with events(gateway) as running:
        for event, payload in (("join", {"room": "r"}), ("message", {"content": "x"})):
            ada, bob = await running.enter("ada"), await running.enter("bob")
            waiting = asyncio.create_task(ada.call(event, payload))
            await asked[event].wait()
            assert (await bob.call(event, payload))["success"] is True
            assert not waiting.done()
            assert await waiting == no(INTERNAL)


async def test_a_client_removed_during_the_content_filter_sends_nothing() -> None:
    permission = HeldPermission()

    async def slow(identity: Identity, content: str) -> bool:
        return await permission()

    async with events(EventsGateway(content_filter=slow)) as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        sending = asyncio.create_task(ada.call("message", {"content": "x", "room": "r"}))
        await permission.asked.wait()
        await running.to.user_left("ada", "r")
        await bob.expect("user:left")
        permission.answer.set()
        assert await sending == no(NO_ACCESS)
        await running.to.broadcast_to_room("r", "last")
        await bob.expect("last")
        await bob.expect_nothing("message")


async def test_disconnected_is_called_if_user_left_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    reasons: list[str] = []
    # No event of the gateway is within this limit.
    gateway = EventsGateway(
        disconnected=lambda connection, reason: reasons.append(reason), limits=Limits(publication_bytes=1)
    )

    @gateway.on("enter")
    async def enter(connection: Connection) -> None:
        await connection.join("r")

    async with events(gateway) as running:
        ada = await running.enter("ada")
        await ada.call("enter")
        await ada.close()
        await until(lambda: reasons)
        await until(lambda: caplog.records)
    assert len(caplog.records) == 1


async def test_hooks_of_the_gateway_are_called() -> None:
    log: list[object] = []

    async def connected(connection: Connection) -> None:
        if connection.identity.user_id == "eve":
            raise Forbidden("not you")
        log.append(connection.id)
        await connection.send("welcome")

    def disconnected(connection: Connection, reason: str) -> None:
        log.append((connection.id, reason, sorted(connection.rooms)))

    gateway = EventsGateway(initialised=lambda: log.append("up"), connected=connected, disconnected=disconnected)
    async with events(gateway) as running:
        assert log == ["up"]
        ada, bob = await running.enter_room("r", "ada", "bob")
        ada_id, bob_id = ada.connection.id, bob.connection.id
        await bob.expect("welcome")
        with pytest.raises(ConnectionRefused, match="not you"):
            await running.enter("eve")
        await bob.close()
        await ada.expect("user:left")
        await until(lambda: len(log) > 3)
        assert log == ["up", ada_id, bob_id, (bob_id, "client disconnect", ["r"])]


async def test_a_host_that_cannot_initialise_does_not_start() -> None:
    def fail() -> None:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        async with events(EventsGateway(initialised=fail)):
            pass


async def test_a_host_may_add_its_own_handlers() -> None:
    class Typing(EventsGateway):
        @on("typing")
        async def typing(self, room: str, connection: Connection, identity: Identity) -> None:
            await self.broadcaster.broadcast_to_room(room, "typing", identity.user_id, except_=connection.id)

    async with events(Typing()) as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        await ada.send("typing", "r")
        assert (await bob.expect("typing")).data == "ada"
        await ada.expect_nothing()


# Limits


async def test_one_connection_cannot_send_too_often() -> None:
    limits = Limits(event_rate=0.001, event_burst=2, attempt_rate=0.001, attempt_burst=2)
    async with events(EventsGateway(limits=limits)) as running:
        ada, bob = await running.enter("ada"), await running.enter("bob")
        answers = [await ada.call("message", {"content": "x"}) for _ in range(3)]
        assert answers == [{"success": True}, {"success": True}, no(TOO_OFTEN)]
        await ada.send("message", {"content": "x"})
        assert (await ada.expect("error")).data == {"message": TOO_OFTEN}
        await ada.send("message", {"content": "x"})
        assert (await ada.expect_closed()).code == 1008, "a client that exceeds the limit repeatedly is disconnected"
        assert [event.name for event in bob.events] == ["message", "message"]


async def test_more_connections_do_not_raise_the_event_limit_of_a_user() -> None:
    limits = Limits(event_rate=0.001, event_burst=4, user_event_rate=0.001, user_event_burst=5)
    async with events(EventsGateway(limits=limits)) as running:
        bob = await running.enter("bob")
        answers = []
        for _ in range(4):  # tabs one after the other, and at the same time
            tab = await running.enter("ada")
            answers += [await tab.call("message", {"content": "x"}) for _ in range(2)]
        assert answers == [{"success": True}] * 5 + [no(TOO_OFTEN)] * 3
        await tab.close()
        again = await running.enter("ada")
        assert await again.call("join", {"room": "r"}) == no(TOO_OFTEN), "reconnecting does not reset the limit"
        assert await bob.call("message", {"content": "x"}) == {"success": True}
        assert len(bob.events) == 5


# Origins


async def test_the_origin_of_events_is_refused_elsewhere() -> None:
    class Service:
        async def rooms_of(self, identity: Identity) -> UserRooms:
            return UserRooms()

        async def create_message(self, *_: Any) -> None: ...

    foreign = {"Origin": "http://localhost:5173"}
    app = RealtimeMiddleware(FastAPI(), gateways=[MewGateway(service=Service()), EventsGateway()], settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        token = client.token("ada")
        async with client.connect("/events", token=token, headers=foreign):
            pass
        for namespace, headers in (("/", foreign), ("/events", {"Origin": "http://localhost:5174"})):
            with pytest.raises(ConnectionRefused) as refused:
                async with client.connect(namespace, token=token, headers=headers):
                    pass
            expected = ({"code": "FORBIDDEN"}, None) if namespace == "/" else (None, 403)
            assert (refused.value.data, refused.value.status) == expected


# The broadcaster


async def test_the_typed_broadcaster_routes_each_event() -> None:
    async with events() as running:
        ada, bob = await running.enter_room("r", "ada", "bob")
        eve = await running.enter("eve")
        await running.to.broadcast_to_room("r", "alarm", {"level": 1})
        await running.to.broadcast_to_all("maintenance")
        await running.to.message("host", "in the room", room="r")
        await running.to.message("host", "to all")
        await running.to.user_joined("eve", "r")
        await running.to.user_left("bob", "r")
        await running.to.broadcast_to_room("r", "end")
        for socket in (ada, bob, eve):
            await socket.expect_nothing("error")
        names = {socket: [event.name for event in socket.events] for socket in (ada, bob, eve)}
        room = ["alarm", "maintenance", "message", "message", "user:joined"]
        assert names[ada][1:] == [*room, "user:left", "end"]
        assert names[bob] == room
        assert names[eve] == ["maintenance", "message", "user:left", "end"]
        message = (await ada.expect("message")).data
        assert (message["senderId"], message["content"]) == ("host", "in the room")
        assert (await ada.expect("user:joined", where=lambda data: data["userId"] == "eve")).data["room"] == "r"
        assert (await eve.expect("user:left")).data == {"userId": "bob", "room": "r"}


async def test_routes_get_the_broadcaster_of_the_mounted_gateway() -> None:
    app = FastAPI()

    @app.post("/announce")
    async def announce(events: EventsBroadcaster = Depends(get_events_broadcaster)) -> None:  # noqa: B008
        await events.broadcast_to_all("announcement", "tea")

    app.add_middleware(RealtimeMiddleware, gateways=[EventsGateway("/elsewhere")], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect("/elsewhere", token=client.token("ada")) as ada:
        assert (await client.http.post("/announce")).status_code == 200
        assert (await ada.expect("announcement")).data == "tea"
