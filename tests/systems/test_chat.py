"""Chat in this process with a host on SQLite: validation, recipients, and delivery of pending messages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    ConfigurationError,
    Delivery,
    Identity,
    Limits,
    RealtimeMiddleware,
    SavedMessage,
)
from asgi_realtime.connection.connection import internal
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.testing.socket import Socket
from tests.support.accepted import accepted_user
from tests.support.chat_app import COLUMNS, OTHER_DEVICE, SETTINGS, Service
from tests.support.waiting import until

ALL = ("ann", "bob", "eve")


def message(id: Any = "m1", **changes: Any) -> dict[str, Any]:
    """A message from Ann to Bob with these changes. A change to `...` leaves the field out."""
    full = {"id": id, "fromId": "ann", "toId": "bob", "chatType": "single", "content": "hello"} | changes
    return {name: value for name, value in full.items() if value is not ...}


class GatedService(Service):
    """A service that answers once the test opens its gate. It can also fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = threading.Semaphore(0)
        self.open()
        self.fails = False

    def open(self) -> None:
        """Let later calls pass."""
        self.go = threading.Event()
        self.go.set()

    def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        saved = super().save_message(identity, message)
        self._wait()
        return saved

    def groups_of(self, identity: Identity) -> list[str]:
        self._wait()
        return super().groups_of(identity)

    def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        found = super().pending_messages(identity, limit)
        self._wait()
        return found

    def _wait(self) -> None:
        self.asked.release()
        assert self.go.wait(10)
        if self.fails:
            raise OSError("the database is away")

    async def until_asked(self) -> None:
        await asyncio.to_thread(self.asked.acquire)


class Running:
    """A running Chat and its clients."""

    def __init__(
        self, service: Service, app: RealtimeMiddleware, client: RealtimeTestClient, stack: AsyncExitStack
    ) -> None:
        self.service = service
        self.app = app
        self.client = client
        self.to = ChatBroadcaster(client.broadcaster)
        self.stack = stack

    async def enter(self, user_id: str) -> Socket:
        socket = await self.stack.enter_async_context(self.client.connect("/chat", token=self.client.token(user_id)))
        assert accepted_user(("auth_success", (await socket.expect("auth_success")).data)) == user_id
        return socket


Chat = Callable[..., Awaitable[Running]]


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    """Start a Chat with these options of its gateway; it is stopped when the test ends."""
    async with AsyncExitStack() as stack:

        async def start(service: Service | None = None, **options: Any) -> Running:
            service = service or Service(tmp_path / "chat.db")
            app = RealtimeMiddleware(Starlette(), gateways=[ChatGateway(service=service, **options)], settings=SETTINGS)
            client = await stack.enter_async_context(RealtimeTestClient(app, timeout=10))
            return Running(service, app, client, stack)

        yield start


async def take_events(*sockets: Socket) -> list[list[tuple[str, Any]]]:
    """The events of each client since the last call, including pending messages."""
    return [[(event.name, event.data) for event in await socket.take_all()] for socket in sockets]


async def test_a_message_between_two_users_reaches_all_their_other_devices(chat: Chat) -> None:
    running = await chat(one_device=False)
    ann, ann_too, bob, bob_too, eve = [await running.enter(name) for name in ("ann", "ann", "bob", "bob", "eve")]
    await ann.send("message", message(replyTo="m0"))
    await ann.send("message", message("m2", content="", contentType="image", imageUrl="/cat.png", replyTo=None))
    first, second = (await take_events(ann_too))[0]
    assert first[0] == "message"
    now = first[1].pop("timestamp")
    assert isinstance(now, int) and now > 1_600_000_000_000
    assert first[1] == message(contentType="text", replyTo="m0", imageUrl="")
    del second[1]["timestamp"]
    assert second[1] == message("m2", content="", contentType="image", imageUrl="/cat.png", replyTo="")
    to_bob, to_bob_too, to_ann, to_eve = await take_events(bob, bob_too, ann, eve)
    assert [data["id"] for _, data in to_bob] == [data["id"] for _, data in to_bob_too] == ["m1", "m2"]
    assert to_ann == [("ack", {"id": "m1", "status": "success"}), ("ack", {"id": "m2", "status": "success"})]
    assert to_eve == []
    assert running.service.messages() == ["m1", "m2"]


async def test_a_message_in_a_group_reaches_its_members(chat: Chat) -> None:
    running = await chat(one_device=False)
    running.service.group("g", "ann", "bob", "cid")
    ann, ann_too, bob, eve = [await running.enter(name) for name in ("ann", "ann", "bob", "eve")]
    await ann.send("message", message(toId="g", chatType="group"))
    to_ann, to_ann_too, to_bob, to_eve = await take_events(ann, ann_too, bob, eve)
    assert to_ann == [("ack", {"id": "m1", "status": "success"})]
    assert to_ann_too == to_bob
    ((kind, data),) = to_bob
    del data["timestamp"]
    expected = message(toId="g", chatType="group", contentType="text", replyTo="", imageUrl="")
    assert (kind, data) == ("message", expected | {"from_name": "Ann", "from_avatar": "/avatars/ann.png"})
    assert to_eve == []
    cid = await running.enter("cid")  # was offline
    assert [data["id"] for _, data in (await take_events(cid))[0]] == ["m1"]


MISSING, TOO_LONG, IMPOSTOR = "消息缺少必要字段", "消息内容过长", "发送者身份不符"
WRONG: list[tuple[Any, str]] = [
    *[(message(**{name: ...}), MISSING) for name in ("id", "fromId", "toId", "chatType", "content")],
    *[(message(**{name: wrong}), MISSING) for name in ("id", "fromId", "toId", "chatType") for wrong in ("", 1, None)],
    *[(message(content=wrong), MISSING) for wrong in ("", None, 7, ["hello"])],
    *[(message(**{name: 1}), MISSING) for name in ("contentType", "replyTo", "imageUrl")],
    (message(content="", contentType="image"), MISSING),
    (message(content="", imageUrl="/cat.png"), MISSING),
    (message(chatType="room"), MISSING),
    (message(contentType="video"), MISSING),
    (message("x" * 201), MISSING),
    (message(toId="b\x00b"), MISSING),
    (message(replyTo="x" * 201), MISSING),
    (None, MISSING),
    ("hello", MISSING),
    ([message()], MISSING),
    (message(content="a" * 10_001), TOO_LONG),
    (message(content="字" * 10_001), TOO_LONG),
    (message(contentType="image", imageUrl="x" * 10_001), TOO_LONG),
    (message(fromId="bob"), IMPOSTOR),
    # For several faults the client gets the first one of the table.
    (message(fromId="bob", content="a" * 10_001), TOO_LONG),
    (message(fromId="bob", content="a" * 10_001, toId=...), MISSING),
    (message(fromId="bob", toId="g", chatType="group"), IMPOSTOR),
]


async def test_refusals_before_the_host_is_called(chat: Chat) -> None:
    running = await chat()
    ann, bob = await running.enter("ann"), await running.enter("bob")
    for data, text in WRONG:
        await ann.send("message", *[] if data is None else [data])
        sent_id = data.get("id") if isinstance(data, dict) else None
        about = {"messageId": sent_id} if isinstance(sent_id, str) and 0 < len(sent_id) <= 200 else {}
        assert (await take_events(ann))[0] == [("error", {"message": text} | about)], data
    for content in ("a" * 10_000, "字" * 10_000, "😀" * 10_000):
        await ann.send("message", message(content[0], content=content))
        assert (await bob.expect("message")).data["content"] == content
    assert running.service.messages() == ["a", "字", "😀"]


async def test_messages_the_host_refuses_get_its_error(chat: Chat, tmp_path: Path) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service)
    service.group("g", "ann", "bob")
    service.put("INSERT INTO blocks VALUES ('bob', 'ann')")
    service.put("UPDATE members SET muted = 1 WHERE user_id = 'ann'")
    ann, bob = await running.enter("ann"), await running.enter("bob")
    for data, text in [
        (message(), "对方已将你屏蔽"),
        (message(toId="g", chatType="group"), "你已被禁言"),
        (message(toId="other", chatType="group"), "你不是群成员"),
    ]:
        await ann.send("message", data)
        assert (await take_events(ann))[0] == [("error", {"message": text, "messageId": "m1"})]
    service.put("DELETE FROM blocks")
    service.fails = True
    await ann.send("message", message())
    await ann.send("read", {"chatId": "bob"})
    assert await take_events(ann, bob) == [[("error", {"message": "服务器内部错误", "messageId": "m1"})], []]
    service.fails = False
    await ann.send("message", message())  # as a client without an ack does
    await ann.expect("ack")
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1"]


async def test_the_same_id_again_is_acknowledged_again_and_delivered_once(chat: Chat) -> None:
    running = await chat()
    bob = await running.enter("bob")
    for _ in range(2):
        ann = await running.enter("ann")
        for _ in range(2):
            await ann.send("message", message())
            await ann.expect("ack", where=lambda data: data == {"id": "m1", "status": "success"})
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1"]
    # Later changes have no effect: the saved message is used.
    running.service.put("INSERT INTO blocks VALUES ('bob', 'ann')")
    await ann.send("message", message(content="something else"))
    await ann.expect("ack")
    assert await take_events(bob, ann) == [[], []]
    # Ids are per sender: the same id of another sender is another message.
    await bob.send("message", message(fromId="bob", toId="ann"))
    assert (await ann.expect("message")).data["fromId"] == "bob"


async def test_a_message_that_was_saved_and_not_delivered_is_delivered_when_it_is_sent_again(chat: Chat) -> None:
    running = await chat()
    running.service.group("g", "ann", "bob", "eve")
    ann, bob, eve = [await running.enter(name) for name in ALL]
    for saved in (
        ChatMessage(id="m1", from_id="ann", to_id="bob", chat_type="single", content="as saved", timestamp=1),
        ChatMessage(id="m2", from_id="ann", to_id="g", chat_type="group", content="as saved", timestamp=2),
    ):
        running.service.save_message(Identity(user_id="ann"), saved)
    running.service.put("DELETE FROM owed WHERE user_id = 'eve'")
    await ann.send("message", message("m1"))
    await ann.send("message", message("m2", toId="g", chatType="group"))
    to_ann, to_bob, to_eve = await take_events(*(ann, bob, eve))
    assert [name for name, _ in to_ann] == ["ack", "ack"]
    assert [(data["id"], data["content"], data["timestamp"]) for _, data in to_bob] == [
        ("m1", "as saved", 1),
        ("m2", "as saved", 2),
    ]
    assert to_eve == []  # already delivered, according to the host
    assert running.service.rows("SELECT * FROM owed") == []


async def test_with_the_broker_down_the_message_is_saved_and_not_acknowledged(chat: Chat) -> None:
    running = await chat()
    ann, bob = await running.enter("ann"), await running.enter("bob")
    realtime = running.app.realtime
    await realtime.broker.stop()
    await ann.send("message", message())
    assert await take_events(ann, bob) == [[("error", {"message": "服务器内部错误", "messageId": "m1"})], []]
    await realtime.broker.start(realtime.hub)
    for _ in range(2):
        await ann.send("message", message())
        await ann.expect("ack")
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1"]


async def test_a_host_that_hangs_in_a_delivery_report_blocks_no_other_client(chat: Chat, tmp_path: Path) -> None:
    class Forgetful(Service):
        def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
            reporting.set()
            assert go.wait(10)
            raise OSError("the database is away")

    reporting, go = threading.Event(), threading.Event()
    running = await chat(Forgetful(tmp_path / "chat.db"))
    ann, bob = await running.enter("ann"), await running.enter("bob")
    await ann.send("message", message())
    await bob.expect("message")
    assert await asyncio.to_thread(reporting.wait, 10)
    entering = asyncio.create_task(running.enter("eve"))
    await until(lambda: any(internal(each).took_over for each in running.client.connections("eve", gateway="/chat")))
    go.set()
    await entering
    await bob.close()
    assert [data["id"] for _, data in (await take_events(await running.enter("bob")))[0]] == [
        "m1"
    ]  # otherwise it would be lost


@pytest.mark.parametrize("error", [OSError("the database is away"), asyncio.CancelledError("the query")], ids=repr)
async def test_a_delivery_report_that_fails_is_logged_with_its_size_and_its_gateway(
    chat: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Failing(Service):
        """Its first report waits. All later ones fail."""

        async def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:  # type: ignore[override]
            reports.append(len(deliveries))
            if len(reports) > 1:
                raise error
            await go.wait()

    reports: list[int] = []
    go = asyncio.Event()
    running = await chat(Failing(tmp_path / "chat.db"))
    ann, bob = await running.enter("ann"), await running.enter("bob")
    for number in range(3):
        await ann.send("message", message(f"m{number}"))
        await bob.expect("message")
    await until(lambda: reports)
    go.set()
    await running.client.settle()
    await ann.send("message", message("m3"))
    await bob.expect("message")
    await running.client.settle()
    assert reports == [1, 2, 1]
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage() == f"/chat: messages_delivered failed (deliveries: 2): {error!r}"
    assert vars(record)["realtime_gateway"] == "/chat"
    assert record.exc_info is not None and record.exc_info[1] is error


@pytest.mark.parametrize("ended_by", ["kick", "close", "too slow"])
async def test_a_message_sent_after_the_end_of_a_connection_is_not_reported_as_delivered(
    ended_by: str, chat: Chat
) -> None:
    running = await chat(limits=Limits(outbox_bytes=40_000))
    bob = await running.enter("bob")
    saved = ChatMessage(id="m1", from_id="ann", to_id="bob", chat_type="single", content="x", timestamp=1)
    running.service.save_message(Identity(user_id="ann"), saved)
    # In one step of the event loop: the transport of the connection does not know the end yet.
    if ended_by == "kick":
        await running.to.kick("bob")
    elif ended_by == "close":
        (connection,) = running.client.connections("bob", gateway="/chat")
        await connection.close()
    else:
        for _ in range(2):
            await running.client.broadcaster.broadcast_to_user("bob", "much", "x" * 30_000)
    receipt = await running.to.message(saved)
    assert receipt.delivered_locally == 0
    await bob.expect_closed()
    assert [data["id"] for _, data in (await take_events(await running.enter("bob")))[0]] == ["m1"]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_message_that_is_held_while_groups_are_read_again_is_reported_when_it_is_written(
    fails: bool, chat: Chat, tmp_path: Path
) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service)
    service.group("g", "ann", "bob")
    bob = await running.enter("bob")
    while service.asked.acquire(blocking=False):
        pass
    held = service.go = threading.Event()
    refreshing = asyncio.create_task(running.client.broadcaster.refresh_rooms("bob"))
    await service.until_asked()
    to_bob = ChatMessage(id="m1", from_id="ann", to_id="bob", chat_type="single", content="x", timestamp=1)
    to_group = ChatMessage(id="m2", from_id="ann", to_id="g", chat_type="group", content="x", timestamp=1)
    for saved in (to_bob, to_group):
        Service.save_message(service, Identity(user_id="ann"), saved)
        assert (await running.to.message(saved)).delivered_locally == 1
    service.fails = fails
    held.set()
    await refreshing
    service.fails = False
    service.open()
    if fails:
        assert tuple(await bob.expect_closed()) == (1011, "rooms unavailable")
        assert [event.name for event in bob.events] == ["auth_success"]
        bob = await running.enter("bob")
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1", "m2"]
    await bob.close()
    assert await take_events(await running.enter("bob")) == [[]]


async def test_offline_messages_are_handed_over_once_in_order(chat: Chat) -> None:
    running = await chat(limits=Limits(outbox_bytes=40_000))
    ann = await running.enter("ann")
    ids = [f"m{number}" for number in range(250)]
    with running.service.transaction() as database:
        for id in ids:
            values = (id, "ann", "bob", "single", "x" * 1_000, 1, "text", "", "")
            database.execute(f"INSERT INTO messages ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            database.execute("INSERT INTO owed VALUES ('bob', 'ann', ?)", (id,))
    bob = await running.enter("bob")
    assert [event.name for event in bob.events[:2]] == ["auth_success", "message"]
    for id in ids:
        assert (await bob.expect("message")).data["id"] == id
    await bob.close()
    bob = await running.enter("bob")
    await ann.send("message", message("new"))
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["new"]
    assert running.service.rows("SELECT * FROM owed") == []


async def test_a_message_to_oneself_is_delivered(chat: Chat) -> None:
    running = await chat()
    ann = await running.enter("ann")
    await ann.send("message", message(toId="ann"))
    assert [name for name, _ in (await take_events(ann))[0]] == ["ack"]
    assert [data["id"] for _, data in (await take_events(await running.enter("ann")))[0]] == ["m1"]
    assert await take_events(await running.enter("ann")) == [[]]


async def test_pending_messages_that_cannot_be_found_stay_pending(chat: Chat, tmp_path: Path) -> None:
    class Failing(Service):
        asked = 0

        def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
            self.asked += 1
            if self.asked == 2:
                raise OSError("the database is away")
            return super().pending_messages(identity, limit)

    running = await chat(Failing(tmp_path / "chat.db"))
    saved = ChatMessage(id="m1", from_id="ann", to_id="bob", chat_type="single", content="x", timestamp=1)
    running.service.save_message(Identity(user_id="ann"), saved)
    bob = await running.enter("bob")  # received the first batch and no second one
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1"]
    (connection,) = running.client.connections("bob", gateway="/chat")
    assert connection.state.ends_at is not None  # later messages are not recorded
    ann = await running.enter("ann")
    await ann.send("message", message("m2"))
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m2"]


@pytest.mark.parametrize("first", ["question", "delivery"])
async def test_a_message_both_pending_and_in_delivery_arrives_once(first: str, chat: Chat, tmp_path: Path) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service)
    ann = await running.enter("ann")
    while service.asked.acquire(blocking=False):
        pass
    held = service.go = threading.Event()
    if first == "question":  # order: saved, found pending by Bob, delivered
        await ann.send("message", message())
        await service.until_asked()
        service.open()
        entering = asyncio.create_task(running.enter("bob"))
        await service.until_asked()
        await service.until_asked()
        held.set()
    else:  # order: delivered while Bob connects, found pending
        entering = asyncio.create_task(running.enter("bob"))
        await service.until_asked()
        service.open()
        await ann.send("message", message())
        await ann.expect("ack")
        await ann.send("message", message())
        held.set()
    bob = await entering
    await ann.expect("ack")
    assert [data["id"] for _, data in (await take_events(bob))[0]] == ["m1"]
    await bob.close()
    assert await take_events(await running.enter("bob")) == [[]]


async def test_a_second_device_replaces_the_first(chat: Chat) -> None:
    running = await chat()
    first, bob = await running.enter("ann"), await running.enter("bob")
    second = await running.enter("ann")
    assert (await first.expect("kick")).data == {"reason": OTHER_DEVICE}
    assert (await first.expect_closed()).code == 1008
    await second.send("message", message())
    await second.expect("ack")
    assert [name for name, _ in (await take_events(bob))[0]] == ["message"]
    assert second.closed is None


async def test_of_many_simultaneous_logins_one_remains(chat: Chat, tmp_path: Path) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service)
    await running.enter("ann")
    service.go.clear()

    async def enter() -> Socket | None:
        try:
            return await running.stack.enter_async_context(
                running.client.connect("/chat", token=running.client.token("ann"))
            )
        except ConnectionRefused:
            return None

    entering = [asyncio.create_task(enter()) for _ in range(8)]
    await service.until_asked()
    service.go.set()
    entered = [socket for socket in await asyncio.gather(*entering) if socket is not None]
    await running.client.settle()
    assert len([socket for socket in entered if socket.closed is None]) == 1
    assert len(running.client.connections("ann", gateway="/chat")) == 1
    for socket in entered:
        if socket.closed is not None:
            assert socket.events[-1].data == {"reason": OTHER_DEVICE}


async def test_a_refused_connection_replaces_no_other(chat: Chat, tmp_path: Path) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service)
    ann = await running.enter("ann")
    service.fails = True
    with pytest.raises(ConnectionRefused) as refused:
        await running.enter("ann")
    assert refused.value.data == {"message": "服务器内部错误"}
    assert await take_events(ann) == [[]]
    assert ann.closed is None


@pytest.mark.parametrize("way", ["frame", "query"])
async def test_bad_tokens_are_refused(way: str, chat: Chat) -> None:
    running = await chat()
    for token in ("forged", running.client.token("ann", expires_in=-1)):
        with pytest.raises(ConnectionRefused) as refused:
            async with running.client.connect(
                "/chat", **{"token": token} if way == "query" else {"auth": {"token": token}}
            ):
                pass
        assert refused.value.data == {"message": "令牌无效或已过期"}


async def test_before_authentication_only_pong_is_sent(chat: Chat) -> None:
    running = await chat(query_token=False, auth_timeout=0.3)
    async with running.client.connect("/chat", query={"token": running.client.token("ann")}) as socket:
        await socket.send("ping")
        await socket.send("message", message())
        await socket.send("read", {"chatId": "bob"})
        assert await take_events(socket) == [
            [("pong", None), ("error", {"message": "未认证"}), ("error", {"message": "未认证"})]
        ]
        await socket.send("auth", {"token": running.client.token("ann")})
        assert accepted_user(("auth_success", (await socket.expect("auth_success")).data)) == "ann"
        await socket.send(
            "auth", {"token": running.client.token("bob")}
        )  # only a token of the same user replaces a token
        assert (await socket.expect("error")).data == {"message": "令牌无效或已过期"}
    async with running.client.connect("/chat") as silent:
        assert (await silent.expect_closed()).code == 1008
        assert silent.events[-1].data == {"message": "令牌无效或已过期"}


async def test_a_read_event_is_saved_and_malformed_or_unknown_events_get_an_error(chat: Chat) -> None:
    running = await chat()
    ann = await running.enter("ann")
    await ann.send("read", {"chatId": "bob"})
    assert await take_events(ann) == [[]]
    assert running.service.rows("SELECT * FROM reads") == [("ann", "bob")]
    for data in ({}, {"chatId": 1}, {"chatId": "x" * 201}, "bob"):
        await ann.send("read", data)
        assert await take_events(ann) == [[("error", {"message": "消息缺少必要字段"})]]
    await ann.send("shout", {"id": "m1"})
    assert (await ann.expect("error")).data == {"message": "未知的消息类型", "messageId": "m1"}
    await ann.send_raw("not JSON")
    assert (await ann.expect("error")).data == {"message": "消息格式错误"}
    assert (await ann.expect_closed()).code == 1008


async def test_a_slow_host_delays_no_other_client(chat: Chat, tmp_path: Path) -> None:
    service = GatedService(tmp_path / "chat.db")
    running = await chat(service, limits=Limits(handler_timeout=0.3))
    ann, bob = await running.enter("ann"), await running.enter("bob")
    held = service.go = threading.Event()
    while service.asked.acquire(blocking=False):
        pass
    await ann.send("message", message())
    await service.until_asked()
    await ann.send("ping")
    await ann.expect("pong")
    service.open()
    await bob.send("message", message(fromId="bob", toId="eve"))
    await bob.expect("ack")
    assert (await ann.expect("error")).data == {"message": "服务器内部错误", "messageId": "m1"}
    held.set()
    await ann.send("message", message())
    await ann.expect("ack")
    await bob.expect("message")


async def test_messages_over_the_rate_of_a_connection_are_refused(chat: Chat) -> None:
    running = await chat(limits=Limits(event_rate=0.001, event_burst=3))
    ann = await running.enter("ann")
    for number in range(5):
        await ann.send("message", message(f"m{number}"))
    await running.client.settle()
    errors = [data for name, data in (await take_events(ann))[0] if name == "error"]
    assert errors == [{"message": "消息发送过于频繁", "messageId": f"m{number}"} for number in (3, 4)]
    assert running.service.messages() == ["m0", "m1", "m2"]


async def test_messages_over_the_rate_of_a_user_are_refused_on_any_device(chat: Chat) -> None:
    running = await chat(one_device=False, limits=Limits(user_event_rate=0.001, user_event_burst=2))
    for number in range(3):
        ann = await running.enter("ann")
        await ann.send("message", message(f"m{number}"))
        ((kind, data),) = (await take_events(ann))[0]
    assert (kind, data) == ("error", {"message": "消息发送过于频繁", "messageId": "m2"})
    bob = await running.enter("bob")
    await bob.send("message", message(fromId="bob", toId="ann"))
    await bob.expect("ack")


async def test_every_event_reaches_its_recipients(chat: Chat) -> None:
    running = await chat()
    running.service.group("g", *ALL)
    people = [await running.enter(name) for name in ALL]
    to = running.to
    await to.message_revoked("m1", from_id="ann", to_id="bob", chat_type="single")
    single = ("message_revoked", {"messageId": "m1", "fromId": "ann", "toId": "bob", "chatType": "single"})
    assert await take_events(*people) == [[single], [single], []]
    await to.message_revoked("m1", from_id="ann", to_id="g", chat_type="group")
    await to.group_transfer("g", "bob")
    await to.group_member_mute("g", "eve", muted=True)
    await to.group_announcement("g", "tea at five")
    group = [
        ("message_revoked", {"messageId": "m1", "fromId": "ann", "toId": "g", "chatType": "group"}),
        ("group_transfer", {"groupId": "g", "newOwnerId": "bob"}),
        ("group_member_mute", {"groupId": "g", "targetUserId": "eve", "muted": True}),
        ("group_announcement", {"groupId": "g", "announcement": "tea at five"}),
    ]
    assert await take_events(*people) == [group] * 3
    await to.friend_request("bob", request_id="r1", from_id="ann", from_name="Ann", create_time=1)
    await to.friend_accepted("ann", friend_id="bob", friend_name="Bob")
    await to.group_invite("eve", group_id="h", group_name="H", inviter_name="Ann")
    assert await take_events(*people) == [
        [("friend_accepted", {"friendId": "bob", "friendName": "Bob"})],
        [("friend_request", {"id": "r1", "fromId": "ann", "fromName": "Ann", "createTime": 1})],
        [("group_invite", {"groupId": "h", "groupName": "H", "inviterName": "Ann"})],
    ]


async def test_a_member_that_leaves_a_group_receives_nothing_more(chat: Chat) -> None:
    running = await chat()
    running.service.group("g", *ALL)
    people = [await running.enter(name) for name in ALL]
    to = running.to
    await to.group_member_kick("g", "eve")
    quit = ("group_member_quit", {"groupId": "g", "userId": "eve"})
    kicked = ("group_member_kick", {"groupId": "g", "targetUserId": "eve"})
    assert await take_events(*people) == [[quit], [quit], [kicked]]
    await to.group_member_quit("g", "bob")
    assert await take_events(*people) == [[("group_member_quit", {"groupId": "g", "userId": "bob"})], [], []]
    await to.group_member_join("g", "eve")
    await to.group_announcement("g", "tea")
    assert [len(events) for events in await take_events(*people)] == [1, 0, 1]
    await to.group_dissolved("g")
    dissolved = ("group_dissolved", {"groupId": "g"})
    assert await take_events(*people) == [[dissolved], [], [dissolved]]
    await to.group_announcement("g", "Is someone here?")
    assert await take_events(*people) == [[], [], []]


async def test_the_host_kicks_and_sends_from_threads(chat: Chat) -> None:
    running = await chat()
    ann, bob = await running.enter("ann"), await running.enter("bob")
    sent = ChatMessage(id="m1", from_id="eve", to_id="bob", chat_type="single", content="by REST", timestamp=1)
    for _ in range(2):
        await asyncio.to_thread(running.to.sync.message, sent)
    await asyncio.to_thread(running.to.sync.kick, "ann", "goodbye")
    to_ann, to_bob = await take_events(ann, bob)
    assert to_ann == [("kick", {"reason": "goodbye"})]
    assert (await ann.expect_closed()).code == 1008
    assert [name for name, _ in to_bob] == ["message"]
    assert bob.closed is None


class SmallService:
    """The smallest service, without a database."""

    def __init__(self) -> None:
        self.saved: list[ChatMessage] = []

    async def groups_of(self, identity: Identity) -> list[str]:
        return ["group"]

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        self.saved.append(message)
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None: ...


class HalfService(SmallService):
    async def messages_delivered(self, deliveries: Sequence[Delivery]) -> None: ...


async def test_a_service_without_optional_methods_is_enough(chat: Chat) -> None:
    running = await chat(SmallService())
    ann, bob = await running.enter("ann"), await running.enter("bob")
    for _ in range(2):
        await ann.send("message", message(toId="group", chatType="group"))
    to_ann, to_bob = await take_events(ann, bob)
    assert [name for name, _ in to_ann] == ["ack", "ack"]
    ((_, data),) = to_bob
    assert (data["from_name"], data["from_avatar"]) == ("", "")
    with pytest.raises(ConfigurationError, match="needs both"):
        ChatGateway(service=HalfService())


@pytest.mark.parametrize("field", ["id", "from_id", "to_id", "reply_to"])
def test_a_message_of_the_host_has_whole_ids(field: str) -> None:
    ids: dict[str, Any] = {"id": 1, "from_id": 2, "to_id": 3, "reply_to": 4}
    for wrong in ("half \ud83d", 1.5, None, *(() if field == "reply_to" else ("",))):
        with pytest.raises(TypeError, match=f"^{field} must"):
            ChatMessage(**(ids | {field: wrong}), chat_type="single", content="x", timestamp=1)
    whole = ChatMessage(**(ids | {field: "é"}), chat_type="single", content="x", timestamp=1)
    assert [getattr(whole, each) for each in ids] == [
        "é" if each == field else str(number) for each, number in ids.items()
    ]
