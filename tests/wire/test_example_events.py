"""Every server event of docs/reference/protocols.md, section 1: the route that emits it, and its recipients."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from examples.fastapi_app.__main__ import BY_CURL
from tests.support.mew_app import SETTINGS, Mew, Person, ReceivedEvent, make_app
from tests.support.servers import Serve
from tests.support.stock_client import ClientServer


@pytest.fixture
async def mew(tmp_path: Path, serve: Serve) -> AsyncIterator[Mew]:
    server = await serve(make_app(f"sqlite:///{tmp_path}/mew.db"))
    async with httpx.AsyncClient(base_url=server.url) as http:
        mew = Mew(http, ClientServer(server.url))
        await mew.prepare()
        await mew.connect_all()
        yield mew
        await mew.disconnect_all()


def to(*people: str, events: list[ReceivedEvent]) -> dict[str, list[ReceivedEvent]]:
    """The same events for these users, and none for the others."""
    return {user_id: events if user_id in people else [] for user_id in ("alice", "bob", "carol", "dave")}


MEMBERS = ("alice", "bob", "carol")


async def test_the_commands_that_make_demo_prints(serve: Serve, tmp_path: Path) -> None:
    server = await serve(make_app(f"sqlite:///{tmp_path}/mew.db"))
    commands = [line for line in BY_CURL.format(url=server.url).splitlines() if line.startswith("    ")]
    assert len(commands) == 9
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", "\n".join(commands)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    printed = output.decode()
    assert process.returncode == 0, printed
    assert '"content":"Hello from curl"' in printed
    joined, said = re.findall(r"43/events,(\d)\[([^]]+)\]", printed)
    assert (joined[0], json.loads(joined[1])["success"]) == ("1", True)
    assert said == ("2", '{"success":true}')
    assert '42/events,["message",{"senderId":"carol","content":"Hello",' in printed


async def test_members_of_a_server_may_join_its_room_on_events_until_they_leave(mew: Mew) -> None:
    """Members may join it, and leave it as soon as they leave the server."""
    people = (mew.alice, mew.bob, mew.carol, mew.dave)
    alice, bob, carol, dave = clients = [await person.open("/events") for person in people]
    room = {"room": mew.server}
    for member in (alice, bob, carol):
        assert await member.call("join", room) == [{"success": True, **room}]
    assert await dave.call("join", room) == [{"success": False, "message": "无权访问此房间"}]
    assert await alice.call("join", {"room": mew.general}) == [{"success": False, "message": "无权访问此房间"}]
    await mew.alice.delete(f"/servers/{mew.server}/members/bob")
    await mew.carol.delete(f"/servers/{mew.server}/members/carol")
    for user_id in ("bob", "carol"):
        assert (await alice.expect("user:left")).data == {"userId": user_id, **room}
    for gone in (bob, carol):
        assert await gone.call("message", {"content": "x", **room}) == [{"success": False, "message": "无权访问此房间"}]
        assert await gone.call("join", room) == [{"success": False, "message": "无权访问此房间"}]
    await mew.alice.delete(f"/servers/{mew.server}")
    answer = await alice.call("message", {"content": "x", **room})
    assert answer == [{"success": False, "message": "无权访问此房间"}]
    for client in clients:
        await client.disconnect()


async def test_a_client_that_connects_gets_the_online_users_and_the_others_its_presence(mew: Mew) -> None:
    await mew.carol.disconnect()
    await mew.alice.events_until("PRESENCE_UPDATE")
    await mew.received()
    await mew.carol.connect(wait=None)
    received = dict(await mew.received())
    assert received.pop("carol") == [("PRESENCE_INITIAL_STATE", ["alice", "bob", "carol", "dave"]), ("ready", None)]
    online = ("PRESENCE_UPDATE", {"userId": "carol", "status": "online"})
    assert set(received) == {"alice", "bob", "dave"}
    for name, events in received.items():
        # It comes after the client is let in if another process is still announcing that she went offline.
        assert events or [await mew.people[name].next_event()] == [online]


async def test_a_client_that_disconnects_is_announced_offline_to_the_others(mew: Mew) -> None:
    await mew.carol.disconnect()
    await mew.alice.events_until("PRESENCE_UPDATE")
    offline = ("PRESENCE_UPDATE", {"userId": "carol", "status": "offline"})
    assert await mew.received() == {"alice": [], "bob": [offline], "dave": [offline]}


async def test_a_message_by_rest_is_sent_to_its_channel(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.general}/messages", {"content": "Miaow"})
    assert await mew.received() == to(*MEMBERS, events=[("MESSAGE_CREATE", message)])
    message = await mew.bob.post(f"/servers/{mew.server}/channels/{mew.private}/messages", {"content": "psst"})
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_CREATE", message)])


async def test_a_message_by_socket_is_saved_and_sent_to_its_channel(mew: Mew) -> None:
    await mew.carol.emit("message/create", {"channelId": mew.general, "content": "Miaow", "payload": {"mood": 1}})
    assert await mew.carol.events_until("MESSAGE_CREATE") == []
    [message] = await mew.bob.get(f"/channels/{mew.general}/messages")
    assert (message["authorId"], message["content"], message["payload"]) == ("carol", "Miaow", {"mood": 1})
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_CREATE", message)])


async def test_a_channel_is_followed_from_the_position_of_its_messages(mew: Mew) -> None:
    snapshot = await mew.alice.request("GET", f"/channels/{mew.general}/messages")
    texts = ("one", "two")
    created = [
        ("MESSAGE_CREATE", await mew.bob.post(f"/channels/{mew.general}/messages", {"content": text})) for text in texts
    ]
    assert await mew.received() == to(*MEMBERS, events=created)
    follow = {"channelId": mew.general, "position": snapshot.headers["X-Position"]}
    for person in (mew.alice, mew.bob):
        await person.emit("channel/follow", follow)
        assert [await person.next_event() for _ in created] == created
    assert await mew.received() == to(events=[])


async def test_a_refused_message_by_socket_gets_an_error_at_the_sender_only(mew: Mew) -> None:
    other_tab = mew.person("carol")
    await other_tab.connect()
    wrong: list[Any] = [
        {"channelId": mew.private, "content": "x"},
        {"channelId": "none", "content": "x"},
        {"channelId": mew.general},
        {"channelId": mew.general, "content": "x" * 4001},
        {"channelId": mew.general, "content": 1},
        {"channelId": mew.general, "attachments": [b"bytes"]},
        {"channelId": mew.general, "content": "x", "referencedMessageId": "none"},
        {"content": "x"},
        "x",
        None,
    ]
    for payload in wrong:
        await mew.carol.emit("message/create", payload)
        assert await mew.carol.next_event() == ("error", {"message": "Failed to create message"}), payload
    assert await mew.received() == to(events=[])
    assert await other_tab.events_until("MARK") == []
    await other_tab.disconnect()


async def test_an_edited_or_retracted_message_is_sent_to_its_channel(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.private}/messages", {"content": "psst"})
    await mew.received()
    edited = await mew.bob.patch(f"/messages/{message['id']}", {"content": "hush"})
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_UPDATE", edited)])
    retracted = await mew.bob.delete(f"/messages/{message['id']}")
    assert retracted["retracted"] and retracted["content"] == ""
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_UPDATE", retracted)])
    await mew.bob.delete(f"/messages/{message['id']}")
    assert await mew.received() == to(events=[])


async def test_changed_reactions_are_sent_to_the_channel(mew: Mew) -> None:
    message = await mew.bob.post(f"/channels/{mew.private}/messages", {"content": "psst"})
    await mew.received()
    path = f"/messages/{message['id']}/reactions/{quote('👍')}"
    reacted = await mew.alice.put(path)
    assert reacted["reactions"] == [{"emoji": "👍", "userIds": ["alice"]}]
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_REACTION_ADD", reacted)])
    await mew.alice.put(path)
    await mew.bob.delete(path)
    assert await mew.received() == to(events=[]), "nothing changed"
    removed = await mew.alice.delete(path)
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_REACTION_REMOVE", removed)])


async def test_direct_messages_arrive_once(mew: Mew) -> None:
    channel = await mew.alice.post("/users/dave/dm")
    assert [user["id"] for user in channel["recipients"]] == ["alice", "dave"]
    assert await mew.received() == to("alice", "dave", events=[("DM_CHANNEL_CREATE", channel)])
    await mew.dave.post("/users/alice/dm")
    assert await mew.received() == to(events=[]), "the message existed"
    message = await mew.dave.post(f"/channels/{channel['id']}/messages", {"content": "Hello"})
    assert await mew.received() == to("alice", "dave", events=[("MESSAGE_CREATE", message)])
    edited = await mew.dave.patch(f"/messages/{message['id']}", {"content": "Hi"})
    assert await mew.received() == to("alice", "dave", events=[("MESSAGE_UPDATE", edited)])
    await mew.alice.emit("message/create", {"channelId": channel["id"], "content": "Yes?"})
    await mew.dave.events_until("MESSAGE_CREATE")
    assert [event for event, _ in (await mew.received())["alice"]] == ["MESSAGE_CREATE"]


async def test_a_created_or_renamed_channel_is_sent_to_the_server(mew: Mew) -> None:
    channel = await mew.alice.post(f"/servers/{mew.server}/channels", {"name": "new"})
    permissions = ("PERMISSIONS_UPDATE", {"serverId": mew.server, "channelId": channel["id"]})
    assert await mew.received() == to(*MEMBERS, events=[permissions, ("CHANNEL_UPDATE", channel)])
    message = await mew.carol.post(f"/channels/{channel['id']}/messages", {"content": "First!"})
    assert await mew.received() == to(*MEMBERS, events=[("MESSAGE_CREATE", message)])
    renamed = await mew.alice.patch(f"/channels/{channel['id']}", {"name": "newer"})
    assert await mew.received() == to(*MEMBERS, events=[("CHANNEL_UPDATE", renamed)])


async def test_a_deleted_channel_is_sent_to_the_server_and_its_room_emptied(mew: Mew) -> None:
    await mew.alice.delete(f"/channels/{mew.general}")
    deleted = {"channelId": mew.general, "serverId": mew.server}
    assert await mew.received() == to(*MEMBERS, events=[("CHANNEL_DELETE", deleted)])
    for room in (mew.general, mew.private):
        await mew.http.post(f"/test/rooms/{room}")
    assert await mew.received() == to("alice", "bob", events=[("ROOM", None)]), "the deleted channel's room is empty"


async def test_changed_categories_are_sent_to_the_server(mew: Mew) -> None:
    category = await mew.alice.post(f"/servers/{mew.server}/categories", {"name": "Cats"})
    assert await mew.received() == to(*MEMBERS, events=[("CATEGORY_UPDATE", category)])
    moved = await mew.alice.patch(f"/categories/{category['id']}", {"position": 3})
    assert await mew.received() == to(*MEMBERS, events=[("CATEGORY_UPDATE", moved)])
    await mew.alice.delete(f"/categories/{category['id']}")
    assert await mew.received() == to(*MEMBERS, events=[("CATEGORY_DELETE", {"categoryId": category["id"]})])


async def test_changed_stickers_are_sent_to_the_server(mew: Mew) -> None:
    sticker = await mew.alice.post(f"/servers/{mew.server}/stickers", {"name": "Cat", "imageUrl": "/cat.png"})
    assert await mew.received() == to(*MEMBERS, events=[("STICKER_CREATE", sticker)])
    renamed = await mew.alice.patch(f"/stickers/{sticker['id']}", {"name": "Kitten"})
    assert await mew.received() == to(*MEMBERS, events=[("STICKER_UPDATE", renamed)])
    await mew.alice.delete(f"/stickers/{sticker['id']}")
    assert await mew.received() == to(*MEMBERS, events=[("STICKER_DELETE", {"stickerId": sticker["id"]})])


async def test_a_renamed_server_is_sent_to_its_members(mew: Mew) -> None:
    server = await mew.alice.patch(f"/servers/{mew.server}", {"name": "Big cats"})
    assert await mew.received() == to(*MEMBERS, events=[("SERVER_UPDATE", server)])


async def test_a_deleted_server_is_sent_to_its_members_and_its_rooms_emptied(mew: Mew) -> None:
    await mew.alice.delete(f"/servers/{mew.server}")
    assert await mew.received() == to(*MEMBERS, events=[("SERVER_DELETE", {"serverId": mew.server})])
    for room in (mew.server, mew.general, mew.private):
        await mew.http.post(f"/test/rooms/{room}")
    assert await mew.received() == to(events=[]), "its rooms are empty"


async def test_a_member_that_joins_is_sent_to_the_server(mew: Mew) -> None:
    await mew.dave.post(f"/servers/{mew.server}/members")
    joined = ("MEMBER_JOIN", {"serverId": mew.server, "userId": "dave"})
    assert await mew.received() == to("alice", "bob", "carol", "dave", events=[joined])
    message = await mew.dave.post(f"/channels/{mew.general}/messages", {"content": "Hello"})
    assert (await mew.received())["dave"] == [("MESSAGE_CREATE", message)]
    await mew.alice.post(f"/channels/{mew.private}/messages", {"content": "Who is he?"})
    assert (await mew.received())["dave"] == []


async def test_the_creator_of_a_server_joins_it(mew: Mew) -> None:
    server = await mew.dave.post("/servers", {"name": "Dogs"})
    joined = ("MEMBER_JOIN", {"serverId": server["id"], "userId": "dave"})
    assert await mew.received() == to("dave", events=[joined])


async def test_a_member_that_leaves_is_sent_to_the_remaining_members(mew: Mew) -> None:
    await mew.carol.delete(f"/servers/{mew.server}/members/carol")
    left = ("MEMBER_LEAVE", {"serverId": mew.server, "userId": "carol"})
    assert await mew.received() == to("alice", "bob", events=[left])
    await _speak_everywhere(mew, mew.alice)
    assert (await mew.received())["carol"] == []


async def test_a_kicked_member_gets_server_kick_and_nothing_more(mew: Mew) -> None:
    await mew.alice.delete(f"/servers/{mew.server}/members/bob")
    left = ("MEMBER_LEAVE", {"serverId": mew.server, "userId": "bob"})
    kicked = ("SERVER_KICK", {"serverId": mew.server})
    assert await mew.received() == to("alice", "carol", events=[left]) | {"bob": [kicked]}
    await _speak_everywhere(mew, mew.alice)
    assert (await mew.received())["bob"] == []


async def test_changed_roles_are_sent_to_the_server_and_take_effect(mew: Mew) -> None:
    changed = ("PERMISSIONS_UPDATE", {"serverId": mew.server})
    roles = f"/servers/{mew.server}/roles"
    role = await mew.alice.post(roles, {"name": "Mods", "permissions": ["KICK_MEMBERS"]})
    assert await mew.received() == to(*MEMBERS, events=[changed])
    await mew.alice.patch(f"{roles}/{role['id']}", {"permissions": []})
    assert await mew.received() == to(*MEMBERS, events=[changed])
    await mew.alice.delete(f"{roles}/{role['id']}")
    assert await mew.received() == to(*MEMBERS, events=[changed])
    await mew.alice.patch(f"{roles}/{mew.server}", {"permissions": []})
    assert await mew.received() == to(*MEMBERS, events=[changed])
    await mew.alice.post(f"/channels/{mew.general}/messages", {"content": "Who reads this?"})
    assert [user_id for user_id, received in (await mew.received()).items() if received] == ["alice"]


async def test_changed_roles_of_a_member_are_sent_to_that_member_and_take_effect(mew: Mew) -> None:
    role = await mew.alice.post(f"/servers/{mew.server}/roles", {"name": "Trusted"})
    await mew.alice.put(f"/channels/{mew.private}/permissions/roles/{role['id']}", {"allow": ["VIEW_CHANNEL"]})
    await mew.received()
    changed = ("PERMISSIONS_UPDATE", {"serverId": mew.server, "userId": "carol"})
    path = f"/servers/{mew.server}/members/carol/roles/{role['id']}"
    await mew.alice.put(path)
    assert await mew.received() == to("carol", events=[changed])
    await mew.alice.put(path)
    assert await mew.received() == to(events=[]), "nothing changed"
    message = await mew.bob.post(f"/channels/{mew.private}/messages", {"content": "Welcome"})
    assert await mew.received() == to(*MEMBERS, events=[("MESSAGE_CREATE", message)])
    await mew.alice.delete(path)
    assert await mew.received() == to("carol", events=[changed])
    message = await mew.bob.post(f"/channels/{mew.private}/messages", {"content": "Bye"})
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_CREATE", message)])


async def test_changed_overrides_are_sent_to_the_users_concerned_and_take_effect(mew: Mew) -> None:
    changed = {"serverId": mew.server, "channelId": mew.general}
    everyone = f"/channels/{mew.general}/permissions/roles/{mew.server}"
    await mew.alice.put(everyone, {"deny": ["VIEW_CHANNEL"]})
    assert await mew.received() == to(*MEMBERS, events=[("PERMISSIONS_UPDATE", changed)])
    await mew.alice.put(f"/channels/{mew.general}/permissions/users/bob", {"allow": ["VIEW_CHANNEL"]})
    assert await mew.received() == to("bob", events=[("PERMISSIONS_UPDATE", changed | {"userId": "bob"})])
    message = await mew.alice.post(f"/channels/{mew.general}/messages", {"content": "Only you, Bob"})
    assert await mew.received() == to("alice", "bob", events=[("MESSAGE_CREATE", message)])
    await mew.alice.delete(everyone)
    assert await mew.received() == to(*MEMBERS, events=[("PERMISSIONS_UPDATE", changed)])


async def test_a_changed_bot_is_sent_to_the_service_of_its_type_only(mew: Mew) -> None:
    services: list[Person] = []
    for service_type in ("weather", "news"):
        service = mew.person(service_type)
        auth = {"adminSecret": SETTINGS.admin_secret, "serviceType": service_type}
        await service.connect(namespace="/infra", auth=auth, wait=None)
        services.append(service)
    weather, news = services
    await mew.alice.post("/infra/bots/weather/bot-1/config", {"city": "Oslo"})
    await mew.alice.post("/infra/bots/news/bot-2/config")
    first = {"serviceType": "news", "botId": "bot-2"}
    assert await news.next_event() == ("SYSTEM_BOT_CONFIG_UPDATE", first), "no event of weather before it"
    assert await weather.next_event() == ("SYSTEM_BOT_CONFIG_UPDATE", {"serviceType": "weather", "botId": "bot-1"})
    assert await mew.received() == to(events=[])
    for service in services:
        await service.disconnect()


async def _speak_everywhere(mew: Mew, person: Person) -> None:
    for channel in (mew.general, mew.private):
        await person.post(f"/channels/{channel}/messages", {"content": "Who reads this?"})
    await person.patch(f"/servers/{mew.server}", {"name": "Cats again"})
