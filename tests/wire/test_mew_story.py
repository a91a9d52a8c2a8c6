"""An afternoon on Mew (PROTOCOLS.md, section 1), as stock clients hear it: the example app, its REST and its sockets.

At the end everything that each client ever heard is compared, in order, so that a doubled, lost or
leaked event anywhere in the story fails it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mew import Person, make_app
from tests.servers import LiveServer, Serve
from tests.wire.stock_client import ClientKind, Connect, StockClient


@pytest.fixture
async def server(serve: Serve, tmp_path: Path) -> LiveServer:
    return await serve(make_app(f"sqlite:///{tmp_path}/mew.db"))


class Teller:
    """Keeps what should be heard beside what is."""

    def __init__(self, **clients: StockClient) -> None:
        self._clients = clients
        self._told: dict[str, list[tuple[str, Any]]] = {name: [] for name in clients}

    async def hear(self, event: str, data: Any, *names: str) -> None:
        """Wait until these clients have heard an event; the others should not."""
        for name in names:
            self._told[name].append((event, data))
            received = await self._clients[name].expect(event)
            assert received.args == ([] if data is None else [data])

    def check(self) -> None:
        """Compare all that was heard with all that should have been."""
        for name, client in self._clients.items():
            assert [(received.event, received.data) for received in client.events] == self._told[name]


async def test_an_afternoon_on_mew(server: LiveServer, connect: Connect, client_kind: ClientKind) -> None:
    async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
        alice, bob = Person("alice", http), Person("bob", http)
        for person in (alice, bob):
            await http.post("/dev/token", json={"userId": person.id})
        at_alices = await connect(server.url, auth={"token": alice.token})
        at_bobs = await connect(server.url, auth={"token": bob.token})
        assert at_bobs.transport == ("polling" if client_kind.endswith("polling") else "websocket")
        teller = Teller(alice=at_alices, bob=at_bobs)
        both = ("alice", "bob")

        await teller.hear("PRESENCE_INITIAL_STATE", ["alice"], "alice")
        await teller.hear("PRESENCE_INITIAL_STATE", ["alice", "bob"], "bob")
        await teller.hear("ready", None, "alice", "bob")
        await teller.hear("PRESENCE_UPDATE", {"userId": "bob", "status": "online"}, "alice")

        # Alice makes a server with a channel, and Bob joins it.
        cats = (await alice.post("/servers", {"name": "Cats"}))["id"]
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "alice"}, "alice")
        general = await alice.post(f"/servers/{cats}/channels", {"name": "general"})
        await teller.hear("PERMISSIONS_UPDATE", {"serverId": cats, "channelId": general["id"]}, "alice")
        await teller.hear("CHANNEL_UPDATE", general, "alice")
        await bob.post(f"/servers/{cats}/members")
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "bob"}, "alice", "bob")

        # They talk, by REST and by socket.
        in_general = f"/channels/{general['id']}/messages"
        message = await bob.post(in_general, {"content": "Miaow 😺"})
        await teller.hear("MESSAGE_CREATE", message, *both)
        await at_alices.emit("message/create", {"channelId": general["id"], "content": "Purr", "payload": {"a": [1]}})
        purr = (await at_bobs.expect("MESSAGE_CREATE")).data
        at_bobs.unread.insert(0, at_bobs.events[-1])
        assert (purr["authorId"], purr["content"], purr["payload"]) == ("alice", "Purr", {"a": [1]})
        await teller.hear("MESSAGE_CREATE", purr, *both)
        await at_bobs.emit("message/create", {"channelId": "nowhere", "content": "Anybody?"})
        await teller.hear("error", {"message": "Failed to create message"}, "bob")

        edited = await bob.patch(f"/messages/{message['id']}", {"content": "Miaow!"})
        await teller.hear("MESSAGE_UPDATE", edited, *both)
        reacted = await alice.put(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await teller.hear("MESSAGE_REACTION_ADD", reacted, *both)
        unreacted = await alice.delete(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await teller.hear("MESSAGE_REACTION_REMOVE", unreacted, *both)

        # A direct message is in a room they share and in their own: it comes once.
        direct = await alice.post("/users/bob/dm")
        await teller.hear("DM_CHANNEL_CREATE", direct, *both)
        whisper = await alice.post(f"/channels/{direct['id']}/messages", {"content": "Between us"})
        await teller.hear("MESSAGE_CREATE", whisper, *both)
        await at_bobs.emit("message/create", {"channelId": direct["id"], "content": "Of course"})
        answer = (await bob.get(f"/channels/{direct['id']}/messages"))[-1:]
        answer = (await at_alices.expect("MESSAGE_CREATE")).data
        at_alices.unread.insert(0, at_alices.events[-1])
        await teller.hear("MESSAGE_CREATE", answer, *both)

        # Alice hides the channel from Bob, speaks, and lets him in again.
        for_bob = f"/channels/{general['id']}/permissions/users/bob"
        changed = {"serverId": cats, "channelId": general["id"], "userId": "bob"}
        await alice.put(for_bob, {"deny": ["VIEW_CHANNEL"]})
        await teller.hear("PERMISSIONS_UPDATE", changed, "bob")
        await teller.hear("MESSAGE_CREATE", await alice.post(in_general, {"content": "Bob is…"}), "alice")
        await alice.delete(for_bob)
        await teller.hear("PERMISSIONS_UPDATE", changed, "bob")
        await teller.hear("MESSAGE_CREATE", await alice.post(in_general, {"content": "Hello, Bob"}), *both)

        # Bob is kicked, and hears nothing more of the server; only what is for him.
        await alice.delete(f"/servers/{cats}/members/bob")
        await teller.hear("SERVER_KICK", {"serverId": cats}, "bob")
        await teller.hear("MEMBER_LEAVE", {"serverId": cats, "userId": "bob"}, "alice")
        await teller.hear("MESSAGE_CREATE", await alice.post(in_general, {"content": "Gone"}), "alice")
        await teller.hear("SERVER_UPDATE", await alice.patch(f"/servers/{cats}", {"name": "Just me"}), "alice")
        apology = await alice.post(f"/channels/{direct['id']}/messages", {"content": "Sorry"})
        await teller.hear("MESSAGE_CREATE", apology, *both)

        # He comes back; the channel is deleted, then the server.
        await alice.post(f"/servers/{cats}/members", {"userId": "bob"})
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "bob"}, *both)
        await teller.hear("MESSAGE_CREATE", await alice.post(in_general, {"content": "Back"}), *both)
        await alice.delete(f"/channels/{general['id']}")
        await teller.hear("CHANNEL_DELETE", {"channelId": general["id"], "serverId": cats}, *both)
        await alice.delete(f"/servers/{cats}")
        await teller.hear("SERVER_DELETE", {"serverId": cats}, *both)

        # Bob has a second tab. Closing the first changes nothing for anybody; closing both does.
        second_tab = await connect(server.url, auth={"token": bob.token})
        await second_tab.expect("ready")
        assert [received.event for received in second_tab.events] == ["PRESENCE_INITIAL_STATE", "ready"]
        await at_bobs.disconnect()
        last = await alice.post(f"/channels/{direct['id']}/messages", {"content": "Still there?"})
        await teller.hear("MESSAGE_CREATE", last, "alice")
        assert (await second_tab.expect("MESSAGE_CREATE")).data == last
        await second_tab.disconnect()
        await teller.hear("PRESENCE_UPDATE", {"userId": "bob", "status": "offline"}, "alice")
        teller.check()
