"""A long scenario on Mew (docs/reference/protocols.md, section 1) with stock clients: REST and sockets of the example.

At the end all events of each client are compared in order, so that any doubled, lost or leaked
event fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.mew_app import Person, make_app
from tests.support.servers import LiveServer, Serve
from tests.support.stock_client import ClientKind, Connect, StockClient


@pytest.fixture
async def server(serve: Serve, tmp_path: Path) -> LiveServer:
    return await serve(make_app(f"sqlite:///{tmp_path}/mew.db"))


class Expectations:
    """Records the expected events beside the received ones."""

    def __init__(self, **clients: StockClient) -> None:
        self._clients = clients
        self._expected: dict[str, list[tuple[str, Any]]] = {name: [] for name in clients}

    async def receive(self, event: str, data: Any, *names: str) -> None:
        """Wait until these clients have received an event. The others must not receive it."""
        for name in names:
            self._expected[name].append((event, data))
            received = await self._clients[name].expect(event)
            assert received.args == ([] if data is None else [data])

    async def receive_same(self, event: str, *names: str) -> Any:
        """Wait until these clients have received an event with an unknown payload, the same for all."""
        payloads = [(await self._clients[name].expect(event)).data for name in names]
        assert all(payload == payloads[0] for payload in payloads)
        for name in names:
            self._expected[name].append((event, payloads[0]))
        return payloads[0]

    def check(self) -> None:
        """Compare all received events with all expected ones."""
        for name, client in self._clients.items():
            assert [(received.event, received.data) for received in client.events] == self._expected[name]


async def test_mew_users_exchange_messages_reactions_and_changes(
    server: LiveServer, connect: Connect, client_kind: ClientKind
) -> None:
    async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
        ann, ben = Person("ann", http), Person("ben", http)
        for person in (ann, ben):
            await http.post("/dev/token", json={"userId": person.id})
        at_anns = await connect(server.url, auth={"token": ann.token})
        at_bens = await connect(server.url, auth={"token": ben.token})
        assert at_bens.transport == ("polling" if client_kind.endswith("polling") else "websocket")
        expected = Expectations(ann=at_anns, ben=at_bens)
        both = ("ann", "ben")

        await expected.receive("PRESENCE_INITIAL_STATE", ["ann"], "ann")
        await expected.receive("PRESENCE_INITIAL_STATE", ["ann", "ben"], "ben")
        await expected.receive("ready", None, "ann", "ben")
        await expected.receive("PRESENCE_UPDATE", {"userId": "ben", "status": "online"}, "ann")

        # Ann makes a server with a channel, and Ben joins it.
        cats = (await ann.post("/servers", {"name": "Cats"}))["id"]
        await expected.receive("MEMBER_JOIN", {"serverId": cats, "userId": "ann"}, "ann")
        general = await ann.post(f"/servers/{cats}/channels", {"name": "general"})
        await expected.receive("PERMISSIONS_UPDATE", {"serverId": cats, "channelId": general["id"]}, "ann")
        await expected.receive("CHANNEL_UPDATE", general, "ann")
        await ben.post(f"/servers/{cats}/members")
        await expected.receive("MEMBER_JOIN", {"serverId": cats, "userId": "ben"}, "ann", "ben")

        # They send messages by REST and by socket.
        in_general = f"/channels/{general['id']}/messages"
        message = await ben.post(in_general, {"content": "Miaow 😺"})
        await expected.receive("MESSAGE_CREATE", message, *both)
        await at_anns.emit("message/create", {"channelId": general["id"], "content": "Purr", "payload": {"a": [1]}})
        purr = await expected.receive_same("MESSAGE_CREATE", *both)
        assert (purr["authorId"], purr["content"], purr["payload"]) == ("ann", "Purr", {"a": [1]})
        assert purr == await ben.get(f"/messages/{purr['id']}")
        await at_bens.emit("message/create", {"channelId": "nowhere", "content": "Who reads this?"})
        await expected.receive("error", {"message": "Failed to create message"}, "ben")

        edited = await ben.patch(f"/messages/{message['id']}", {"content": "Miaow!"})
        await expected.receive("MESSAGE_UPDATE", edited, *both)
        reacted = await ann.put(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await expected.receive("MESSAGE_REACTION_ADD", reacted, *both)
        unreacted = await ann.delete(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await expected.receive("MESSAGE_REACTION_REMOVE", unreacted, *both)

        # A direct message goes to a shared room and to personal rooms: it arrives once.
        direct = await ann.post("/users/ben/dm")
        await expected.receive("DM_CHANNEL_CREATE", direct, *both)
        whisper = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Between us"})
        await expected.receive("MESSAGE_CREATE", whisper, *both)
        await at_bens.emit("message/create", {"channelId": direct["id"], "content": "Of course"})
        answer = await expected.receive_same("MESSAGE_CREATE", *both)
        assert (answer["authorId"], answer["content"]) == ("ben", "Of course")

        # Ann hides the channel from Ben, sends a message, and shows the channel again.
        for_ben = f"/channels/{general['id']}/permissions/users/ben"
        changed = {"serverId": cats, "channelId": general["id"], "userId": "ben"}
        await ann.put(for_ben, {"deny": ["VIEW_CHANNEL"]})
        await expected.receive("PERMISSIONS_UPDATE", changed, "ben")
        await expected.receive("MESSAGE_CREATE", await ann.post(in_general, {"content": "Ben is…"}), "ann")
        await ann.delete(for_ben)
        await expected.receive("PERMISSIONS_UPDATE", changed, "ben")
        await expected.receive("MESSAGE_CREATE", await ann.post(in_general, {"content": "Hello, Ben"}), *both)

        # Ben is kicked. He receives nothing more of the server, only personal events.
        await ann.delete(f"/servers/{cats}/members/ben")
        await expected.receive("SERVER_KICK", {"serverId": cats}, "ben")
        await expected.receive("MEMBER_LEAVE", {"serverId": cats, "userId": "ben"}, "ann")
        await expected.receive("MESSAGE_CREATE", await ann.post(in_general, {"content": "Gone"}), "ann")
        await expected.receive("SERVER_UPDATE", await ann.patch(f"/servers/{cats}", {"name": "Just me"}), "ann")
        apology = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Sorry"})
        await expected.receive("MESSAGE_CREATE", apology, *both)

        # Ben joins again; the channel is deleted, then the server.
        await ann.post(f"/servers/{cats}/members", {"userId": "ben"})
        await expected.receive("MEMBER_JOIN", {"serverId": cats, "userId": "ben"}, *both)
        await expected.receive("MESSAGE_CREATE", await ann.post(in_general, {"content": "Back"}), *both)
        await ann.delete(f"/channels/{general['id']}")
        await expected.receive("CHANNEL_DELETE", {"channelId": general["id"], "serverId": cats}, *both)
        await ann.delete(f"/servers/{cats}")
        await expected.receive("SERVER_DELETE", {"serverId": cats}, *both)

        # Ben has a second tab. Closing the first changes nothing; closing both takes him offline.
        second_tab = await connect(server.url, auth={"token": ben.token})
        await second_tab.expect("ready")
        assert [received.event for received in second_tab.events] == ["PRESENCE_INITIAL_STATE", "ready"]
        await at_bens.disconnect()
        last = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Still there?"})
        await expected.receive("MESSAGE_CREATE", last, "ann")
        assert (await second_tab.expect("MESSAGE_CREATE")).data == last
        await second_tab.disconnect()
        await expected.receive("PRESENCE_UPDATE", {"userId": "ben", "status": "offline"}, "ann")
        expected.check()
