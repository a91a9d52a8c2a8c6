"""Chat (docs/reference/protocols.md) on three nodes: clients on two of them, the host on the third, one database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asgi_realtime import (
    Broadcaster,
    ChatBroadcaster,
    ChatMessage,
    Identity,
    Settings,
    SyncBroadcaster,
    WebSocketGateway,
)
from tests.cluster.rows import Table, by_tests, one_connection, problems
from tests.support.chat_app import OTHER_DEVICE
from tests.support.json_client import Frame, JSONClient, JSONClients
from tests.support.json_systems import JSONNodes, JSONSystems, json_nodes, token_of
from tests.support.json_systems_app import CHAT, MANY_DEVICES
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.waiting import until

KICK = {"type": "kick", "data": {"reason": OTHER_DEVICE}}


class ChatOnNodes(JSONSystems):
    """Chat on several nodes. Ids of messages are different in each test, because Redis remembers them."""

    def __init__(self, nodes: JSONNodes, clients: JSONClients) -> None:
        super().__init__(nodes, clients)
        self._prefix = f"{next(self._numbers)}-"
        for table in ("messages", "owed", "members", "blocks", "reads"):
            self.service.put(f"DELETE FROM {table}")

    def message(self, id: str, **changes: Any) -> dict[str, Any]:
        """A message from Ann to Bob with these changes."""
        full = {"fromId": "ann", "toId": "bob", "chatType": "single", "content": "hello"}
        return {"id": self._prefix + id} | full | changes

    async def sent(self, client: JSONClient, id: str, **changes: Any) -> None:
        """Send a message, and wait for its `ack`."""
        message = self.message(id, **changes)
        await client.send("message", message)
        assert await client.expect("ack") == {"id": message["id"], "status": "success"}

    def ids(self, frames: list[Frame]) -> list[str]:
        """The ids of the messages among these frames."""
        return [frame["data"]["id"].removeprefix(self._prefix) for frame in frames if frame["type"] == "message"]

    async def taken_messages(self, *clients: JSONClient) -> list[list[str]]:
        """The ids of the messages that were not taken yet. Nothing else has arrived."""
        taken = await self.taken(*clients)
        assert {frame["type"] for frames in taken for frame in frames} <= {"message"}, taken
        return [self.ids(frames) for frames in taken]

    async def all_reported(self) -> None:
        """Wait until no message is owed to a user: every node has reported what it delivered."""
        await until(lambda: self.service.rows("SELECT * FROM owed") == [])


@pytest.fixture
async def it(shared_nodes: JSONNodes) -> AsyncIterator[ChatOnNodes]:
    async with JSONClients() as clients:
        yield ChatOnNodes(shared_nodes, clients)


async def test_messages_reach_the_recipients_and_the_senders_devices_on_other_nodes(it: ChatOnNodes) -> None:
    it.service.group("g", "ann", "bob", "cid")
    ann, bob, eve = [await it.enter(name, 0, MANY_DEVICES) for name in ("ann", "bob", "eve")]
    ann_too, bob_too, cid = [await it.enter(name, 1, MANY_DEVICES) for name in ("ann", "bob", "cid")]
    await it.sent(ann, "m1", replyTo="m0")
    await it.sent(ann_too, "m2", toId="g", chatType="group")
    await it.sent(ann, "m1")  # the same id again, on both nodes
    await it.sent(ann_too, "m1")
    assert await it.taken_messages(ann, ann_too, bob, cid, eve) == [["m2"], ["m1"], ["m1", "m2"], ["m2"], []]
    single, group = [frame["data"] for frame in (await it.taken(bob_too))[0]]
    for data in (single, group):
        assert isinstance(data.pop("timestamp"), int)
    assert single == it.message("m1", replyTo="m0", contentType="text", imageUrl="")
    named = {"from_name": "Ann", "from_avatar": "/avatars/ann.png"}
    assert group == it.message("m2", toId="g", chatType="group", contentType="text", replyTo="", imageUrl="") | named
    await it.all_reported()


async def test_a_read_of_one_node_is_saved_where_the_host_of_every_node_finds_it(it: ChatOnNodes) -> None:
    for node in (0, 1):
        ann = await it.enter("ann", node)
        await ann.send("read", {"chatId": f"chat {node}"})
        await ann.send("read", {})  # refused after the first one was saved
        await ann.expect("error")
    assert it.service.rows("SELECT * FROM reads") == [("ann", "chat 0"), ("ann", "chat 1")]


async def test_a_message_of_the_host_is_delivered_once_by_any_node(it: ChatOnNodes) -> None:
    ann, bob = await it.enter("ann", 0), await it.enter("bob", 1)
    by_rest = it.message("m1", timestamp=1)
    it.service.save_message(Identity(user_id="ann"), msgspec.convert(by_rest, ChatMessage))
    for node, method in ((2, "chat.message"), (0, "chat.sync.message"), (1, "chat.message")):
        await it.call(method, by_rest, on=node)
    await it.sent(ann, "m1")
    assert await it.taken_messages(ann, bob) == [["m1"], ["m1"]]


async def test_every_event_of_the_host_reaches_its_recipients_on_other_nodes(it: ChatOnNodes) -> None:
    it.service.group("g", "ann", "bob", "eve")
    people = [await it.enter(name, node) for name, node in (("ann", 0), ("bob", 1), ("eve", 1))]

    async def events() -> list[list[tuple[str, Any]]]:
        return [[(frame["type"], frame["data"]) for frame in frames] for frames in await it.taken(*people)]

    single = {"messageId": "m1", "fromId": "ann", "toId": "bob", "chatType": "single"}
    group = {"messageId": "m1", "fromId": "ann", "toId": "g", "chatType": "group"}
    for event in (single, group):
        recipient, kind = event["toId"], event["chatType"]
        await it.call("chat.message_revoked", "m1", from_id="ann", to_id=recipient, chat_type=kind)
    assert await events() == [[("message_revoked", single), ("message_revoked", group)]] * 2 + [
        [("message_revoked", group)]
    ]
    await it.call("chat.group_transfer", "g", "bob")
    await it.call("chat.sync.group_member_mute", "g", "eve", muted=True)
    await it.call("chat.group_announcement", "g", "tea at five", on=1)
    assert (
        await events()
        == [
            [
                ("group_transfer", {"groupId": "g", "newOwnerId": "bob"}),
                ("group_member_mute", {"groupId": "g", "targetUserId": "eve", "muted": True}),
                ("group_announcement", {"groupId": "g", "announcement": "tea at five"}),
            ]
        ]
        * 3
    )
    await it.call("chat.friend_request", "bob", request_id="r1", from_id="ann", from_name="Ann", create_time=1)
    await it.call("chat.friend_accepted", "ann", friend_id="bob", friend_name="Bob")
    await it.call("chat.group_invite", "eve", group_id="h", group_name="H", inviter_name="Ann")
    assert await events() == [
        [("friend_accepted", {"friendId": "bob", "friendName": "Bob"})],
        [("friend_request", {"id": "r1", "fromId": "ann", "fromName": "Ann", "createTime": 1})],
        [("group_invite", {"groupId": "h", "groupName": "H", "inviterName": "Ann"})],
    ]


async def test_changes_of_a_group_hold_on_every_node_for_the_next_event(it: ChatOnNodes) -> None:
    it.service.group("g", "ann", "bob", "eve")
    people = [await it.enter(name, node) for name, node in (("ann", 0), ("bob", 1), ("eve", 1))]
    ann, bob, _ = people
    await it.call("chat.group_member_kick", "g", "eve")
    await it.call("chat.group_announcement", "g", "eve is out", on=0)
    await it.call("chat.group_member_quit", "g", "bob", on=0)
    await it.sent(ann, "m1", toId="g", chatType="group")
    await it.call("chat.group_member_join", "g", "eve", on=1)
    await it.call("chat.group_announcement", "g", "eve is in")
    await it.call("chat.group_dissolved", "g", on=0)
    await it.call("chat.group_announcement", "g", "to an empty group", on=1)
    to_ann, to_bob, to_eve = await it.taken(*people)
    assert [frame["type"] for frame in to_ann] == [
        *("group_member_quit", "group_announcement", "group_member_quit", "group_announcement", "group_dissolved")
    ]
    assert [frame["data"]["userId"] for frame in to_ann if frame["type"] == "group_member_quit"] == ["eve", "bob"]
    assert [frame["type"] for frame in to_bob] == ["group_member_quit", "group_announcement"]
    assert [(frame["type"], frame["data"]) for frame in to_eve] == [
        ("group_member_kick", {"groupId": "g", "targetUserId": "eve"}),
        ("group_announcement", {"groupId": "g", "announcement": "eve is in"}),
        ("group_dissolved", {"groupId": "g"}),
    ]
    # Who was offline at the change has the rooms that the database says.
    it.service.put("DELETE FROM members WHERE user_id = 'bob'")
    bob = await it.enter("bob", 0)
    await it.call("chat.group_member_join", "g", "ann")
    await it.call("chat.group_announcement", "g", "to ann")
    assert [[frame["type"] for frame in frames] for frames in await it.taken(ann, bob)] == [
        ["group_announcement"],
        ["message"],  # m1, which the database owes him
    ]


# One device at a time


async def test_a_new_login_ends_the_older_device_on_another_node(it: ChatOnNodes) -> None:
    bob, ann = await it.enter("bob", 1), await it.enter("ann", 0)
    for node in (1, 0, 0, 1):
        newer = await it.enter("ann", node)
        assert await ann.end() == (1008, "another device")
        assert ann.frames[1:] == [KICK]
        ann = newer
    await it.sent(bob, "m1", fromId="bob", toId="ann")
    assert await it.taken_messages(ann, bob) == [["m1"], []]
    connections = await it.call("connections", "ann", gateway=CHAT)
    assert (len(connections["value"]), connections["complete"]) == (1, True)


async def test_of_two_simultaneous_logins_on_two_nodes_one_remains(it: ChatOnNodes) -> None:
    before: list[JSONClient] = []
    for number in range(8):
        logins = await asyncio.gather(*[it.enter("ann", node, take_over=False) for node in (0, 1)])
        ends = [asyncio.create_task(login.end()) for login in logins]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        (remaining,) = [login for login in logins if login.closed is None]
        assert await it.taken(remaining) == [[]]
        assert remaining.closed is None
        for ended in (*before, *[login for login in logins if login is not remaining]):
            assert await ended.end() == (1008, "another device")
            assert [frame for frame in ended.frames if frame["type"] == "kick"] == [KICK], number
            assert ended.frames[-1] == KICK
        before = [remaining]
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    assert len((await it.call("connections", "ann", gateway=CHAT))["value"]) == 1


async def test_no_message_is_lost_while_a_user_changes_devices_between_nodes(it: ChatOnNodes) -> None:
    bob, devices = await it.enter("bob", 0), [await it.enter("ann", 0)]
    changed = asyncio.Event()
    number = 0

    async def send() -> None:
        nonlocal number
        while not changed.is_set():
            number += 1
            await it.sent(bob, f"m{number}", fromId="bob", toId="ann")

    sending = asyncio.create_task(send())
    for node in (1, 0) * 3:
        devices.append(await it.enter("ann", node))
        assert await devices[-2].end() == (1008, "another device")
    changed.set()
    await sending
    await it.taken(devices[-1])
    devices.append(await it.enter("ann", 1))  # gets what no device has received
    await it.taken(devices[-1])
    seen: set[str] = set()
    for device in devices:
        received = it.ids(device.frames)
        assert len(received) == len(set(received))
        seen |= set(received)
    assert number > 6
    assert seen == {f"m{each}" for each in range(1, number + 1)}
    await it.all_reported()


async def test_the_host_kicks_a_user_on_another_node(it: ChatOnNodes) -> None:
    bob, eve = await it.enter("bob", 1), await it.enter("eve", 1)
    ann, other = await it.enter("ann", 0), await it.enter("ann", 0, MANY_DEVICES)
    await it.call("chat.kick", "bob", "goodbye")
    await it.call("chat.sync.kick", "ann")
    for client, reason in ((bob, "goodbye"), (ann, OTHER_DEVICE)):
        assert await client.end() == (1008, "kicked")
        assert [(frame["type"], frame["data"]) for frame in client.frames[1:]] == [("kick", {"reason": reason})]
    bob, ann = await it.enter("bob", 0), await it.enter("ann", 1)
    settings = Settings(redis_url=it.cluster.redis_url, redis_prefix=it.cluster.prefix)
    gateways = [WebSocketGateway(MANY_DEVICES), WebSocketGateway(CHAT)]
    async with Broadcaster.connect(gateways=gateways, settings=settings) as broadcaster:
        await ChatBroadcaster(broadcaster.of(CHAT)).kick("bob", "from elsewhere")

    def kick() -> None:
        with SyncBroadcaster.connect(gateways=gateways[1:], settings=settings) as broadcaster:
            ChatBroadcaster(broadcaster.asynchronous).sync.kick("ann", "from a thread")

    await asyncio.to_thread(kick)
    for client, reason in ((bob, "from elsewhere"), (ann, "from a thread")):
        assert await client.end() == (1008, "kicked")
        assert [(frame["type"], frame["data"]) for frame in client.frames[1:]] == [("kick", {"reason": reason})]
    assert await it.taken(eve, other) == [[], []]  # other users, and the same user on another gateway


# Messages for users who were offline


async def test_messages_sent_while_a_user_was_offline_come_once_on_any_node(it: ChatOnNodes) -> None:
    it.service.group("g", "ann", "bob")
    ann = await it.enter("ann", 0)
    await it.sent(ann, "m1")
    await it.sent(ann, "m2", toId="g", chatType="group")
    await it.call("chat.message", it.message("m1", timestamp=1))  # again, by a route of another node
    bob = await it.enter("bob", 1)
    assert [frame["type"] for frame in bob.frames[:3]][:1] == ["auth_success"]
    assert await it.taken_messages(bob) == [["m1", "m2"]]
    await it.sent(ann, "m2", toId="g", chatType="group")
    assert await it.taken(bob) == [[]]
    await it.all_reported()
    for node in (0, 1):
        assert await it.taken(await it.enter("bob", node)) == [[]]


async def test_of_two_devices_that_connect_at_once_each_gets_a_message_once_and_none_is_lost(it: ChatOnNodes) -> None:
    ann = await it.enter("ann", 0, MANY_DEVICES)
    for number in range(5):
        await it.sent(ann, f"m{number}")
    entering = [asyncio.create_task(it.enter("bob", node, MANY_DEVICES)) for node in (0, 1)]
    for number in range(5, 15):  # some of them before the devices are connected, some after
        await it.sent(ann, f"m{number}")
    devices = [await entered for entered in entering]
    received = await it.taken_messages(*devices)
    assert [len(each) for each in received] == [len(set(each)) for each in received], received
    assert set().union(*received) == {f"m{number}" for number in range(15)}
    await it.sent(ann, "m15")
    assert await it.taken_messages(*devices) == [["m15"], ["m15"]]
    await it.all_reported()


async def test_a_message_that_follows_a_kick_is_pending_for_the_next_login_on_another_node(it: ChatOnNodes) -> None:
    bob = await it.enter("bob", 1)
    sent = it.message("m1", timestamp=1)
    it.service.save_message(Identity(user_id="ann"), msgspec.convert(sent, ChatMessage))
    it.nodes[1].process.signal(signal.SIGSTOP)  # so that it reads both at once
    try:
        await it.call("chat.kick", "bob")
        await it.call("chat.message", sent)
    finally:
        it.nodes[1].process.signal(signal.SIGCONT)
    assert await bob.end() == (1008, "kicked")
    assert it.ids(bob.frames) == []
    assert await it.taken_messages(await it.enter("bob", 0)) == [["m1"]]


# Nodes that die or hang


async def test_a_device_on_a_node_that_hangs_is_ended_when_the_node_continues(it: ChatOnNodes) -> None:
    ann, old = await it.enter("ann", 0), await it.enter("bob", 1)
    it.nodes[1].process.signal(signal.SIGSTOP)
    try:
        await it.sent(ann, "m1")
        new = await it.enter("bob", 0)
        await it.taken(new)
        await it.sent(ann, "m2")
    finally:
        it.nodes[1].process.signal(signal.SIGCONT)
    assert await old.end() == (1008, "another device")
    assert it.ids(old.frames) in ([], ["m1"])
    assert old.frames[-1] == KICK
    assert it.ids(new.frames) == ["m1", "m2"]
    assert new.closed is None


async def test_after_a_kill_of_the_node_the_user_logs_in_elsewhere_and_gets_what_came_in_between(
    tmp_path: Path, redis_process: RedisProcess
) -> None:
    async with json_nodes(tmp_path, redis_process.url) as nodes, JSONClients() as clients:
        it = ChatOnNodes(nodes, clients)
        ann, bob = await it.enter("ann", 0), await it.enter("bob", 1)
        await it.sent(ann, "m1")
        assert await it.taken_messages(bob) == [["m1"]]
        await it.all_reported()
        it.nodes[1].process.signal(signal.SIGKILL)
        assert (await bob.end())[0] == 1006
        await it.sent(ann, "m2")
        bob = await it.enter("bob", 0)
        await it.sent(ann, "m3")
        assert await it.taken_messages(bob) == [["m2", "m3"]]
        await it.all_reported()
        newer = await it.enter("bob", 2)
        assert await bob.end() == (1008, "another device")
        assert await it.taken(newer) == [[]]


async def test_of_two_logins_while_redis_is_away_one_remains_when_it_is_back(tmp_path: Path) -> None:
    with redis_server() as redis:
        async with json_nodes(tmp_path, redis.url, MEW_ON_BROKER_DOWN="local") as nodes, JSONClients() as clients:
            it = ChatOnNodes(nodes, clients)
            bob, older = await it.enter("bob", 0), await it.enter("ann", 0)
            redis.kill()
            newer = await it.enter("ann", 1)  # each process lets clients in, and cannot tell the other
            redis.start()
            assert await older.end() == (1008, "another device")
            assert older.frames[-1] == KICK
            for frames in await it.taken(newer, bob):
                assert {frame["type"] for frame in frames} <= {"realtime:resync"}  # Redis has lost its data
            assert newer.closed is None


# Tokens and presence


async def test_a_refreshed_token_counts_and_a_revoked_one_is_cut_on_every_node(it: ChatOnNodes) -> None:
    ida = await it.enter("ida", 1, token=token_of("ida", jti="j1", expires_in=60))
    joe = await it.enter("joe", 0, token=token_of("joe", jti="j3"))
    await ida.send("auth", {"token": token_of("ida", jti="j2")})
    assert (await ida.expect("auth_success"))["userId"] == "ida"
    await it.call("revoke_token", "j1")
    assert await it.taken(ida, joe) == [[], []]
    await it.call("revoke_token", "j2")
    await it.call("revoke_user", "joe", on=1)
    for client in (ida, joe):
        assert await client.end() == (1008, "credentials revoked")
    for node in (0, 1, 2):
        refused = await it.open(node, f"{CHAT}?token={token_of('ida', jti='j2')}")
        assert await refused.end() == (1008, "invalid credentials")
        assert refused.frames == [{"type": "auth_error", "data": {"message": "令牌无效或已过期"}}]


async def test_every_node_knows_which_users_are_online(it: ChatOnNodes) -> None:
    await it.enter("fay", 0)
    gus = await it.enter("gus", 1)
    newer = await it.enter("gus", 0)
    await gus.end()
    for node in (0, 1, 2):
        assert {"fay", "gus"} <= set(await it.call("online_users", gateway=CHAT, on=node))
        for user_id, online in (("gus", True), ("hal", False)):
            assert await it.call("is_online", user_id, gateway=CHAT, on=node) is online
    await newer.close()

    async def gus_is_offline() -> bool:
        return not await it.call("is_online", "gus", gateway=CHAT)

    await until(gus_is_offline)
    assert await it.call("is_online", "fay", gateway=CHAT)


_ANSWER = "the answer to an event of the same connection"
_HOST = "the answer to the sender: the host's database decides, which the nodes share"
_EVENTS = by_tests(test_every_event_of_the_host_reaches_its_recipients_on_other_nodes)
_GROUPS = by_tests(test_changes_of_a_group_hold_on_every_node_for_the_next_event)
_ONE_DEVICE = by_tests(
    test_a_new_login_ends_the_older_device_on_another_node,
    test_of_two_simultaneous_logins_on_two_nodes_one_remains,
    test_no_message_is_lost_while_a_user_changes_devices_between_nodes,
    test_a_device_on_a_node_that_hangs_is_ended_when_the_node_continues,
    test_of_two_logins_while_redis_is_away_one_remains_when_it_is_back,
    test_the_host_kicks_a_user_on_another_node,
)
_REVOKED = by_tests(test_a_refreshed_token_counts_and_a_revoked_one_is_cut_on_every_node)

ROWS: Table = {
    "a client sends": {
        "`auth`": one_connection("a handshake is decided by the node that it reaches; for its effects see `kick`"),
        "`message`: checked": by_tests(
            test_messages_reach_the_recipients_and_the_senders_devices_on_other_nodes,
            test_a_message_of_the_host_is_delivered_once_by_any_node,
        ),
        "`message` with the same id": by_tests(
            test_messages_reach_the_recipients_and_the_senders_devices_on_other_nodes,
            test_a_message_of_the_host_is_delivered_once_by_any_node,
        ),
        "`read`": by_tests(test_a_read_of_one_node_is_saved_where_the_host_of_every_node_finds_it),
        "`ping`": one_connection(_ANSWER),
    },
    "the server sends": {
        "`message`": by_tests(test_messages_reach_the_recipients_and_the_senders_devices_on_other_nodes),
        "`ack`": one_connection(_ANSWER),
        "`error`": one_connection(_ANSWER),
        "`kick`": _ONE_DEVICE,
        "`friend_request`": _EVENTS,
        "`friend_accepted`": _EVENTS,
        "`message_revoked`": _EVENTS,
        "`group_member_quit`": _GROUPS,
        "`group_dissolved`": _GROUPS,
        "`group_transfer`": _EVENTS,
        "`group_member_kick`": _GROUPS,
        "`group_invite`": _EVENTS,
    },
    "refused": {
        "`未认证`": one_connection(_ANSWER),
        "`消息缺少必要字段`": one_connection(_ANSWER),
        "`消息内容过长`": one_connection(_ANSWER),
        "`发送者身份不符`": one_connection(_ANSWER),
        "`对方已将你屏蔽`": one_connection(_HOST),
        "`你已被禁言`": one_connection(_HOST),
        "`你不是群成员`": one_connection(_HOST),
        "`消息发送过于频繁`": one_connection("each node limits the events that it receives"),
        "`服务器内部错误`": one_connection(_HOST),
        "`令牌无效或已过期`": _REVOKED,
    },
    "other rules": {
        "`?token=`": one_connection("a handshake is decided by the node that it reaches"),
        "one device": _ONE_DEVICE,
        "messages sent while": by_tests(
            test_messages_sent_while_a_user_was_offline_come_once_on_any_node,
            test_of_two_devices_that_connect_at_once_each_gets_a_message_once_and_none_is_lost,
            test_a_message_that_follows_a_kick_is_pending_for_the_next_login_on_another_node,
        ),
        "server killed": by_tests(
            test_after_a_kill_of_the_node_the_user_logs_in_elsewhere_and_gets_what_came_in_between
        ),
        "a slow host": one_connection("the events of a client are handled by one node"),
        "a second `auth` frame": _REVOKED,
    },
}


def test_every_row_is_in_the_table() -> None:
    assert problems("Chat", ROWS) == []
