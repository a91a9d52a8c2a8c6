"""A long scenario on Mew (PROTOCOLS.md, section 1) with stock clients: the example app, its REST and its sockets.

At the end everything that each client ever heard is compared, in order, so that a doubled, lost or
leaked event anywhere in the story fails it.
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


class Teller:
    """Records the expected events beside the received ones."""

    def __init__(self, **clients: StockClient) -> None:
        self._clients = clients
        self._told: dict[str, list[tuple[str, Any]]] = {name: [] for name in clients}

    async def hear(self, event: str, data: Any, *names: str) -> None:
        """Wait until these clients have received an event. The others must not receive it."""
        for name in names:
            self._told[name].append((event, data))
            received = await self._clients[name].expect(event)
            assert received.args == ([] if data is None else [data])

    async def hear_alike(self, event: str, *names: str) -> Any:
        """Wait until these clients have received an event with an unknown payload, the same for all."""
        payloads = [(await self._clients[name].expect(event)).data for name in names]
        assert all(payload == payloads[0] for payload in payloads)
        for name in names:
            self._told[name].append((event, payloads[0]))
        return payloads[0]

    def check(self) -> None:
        """Compare all received events with all expected ones."""
        for name, client in self._clients.items():
            assert [(received.event, received.data) for received in client.events] == self._told[name]


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
        teller = Teller(ann=at_anns, ben=at_bens)
        both = ("ann", "ben")

        await teller.hear("PRESENCE_INITIAL_STATE", ["ann"], "ann")
        await teller.hear("PRESENCE_INITIAL_STATE", ["ann", "ben"], "ben")
        await teller.hear("ready", None, "ann", "ben")
        await teller.hear("PRESENCE_UPDATE", {"userId": "ben", "status": "online"}, "ann")

        # Ann makes a server with a channel, and Ben joins it.
        cats = (await ann.post("/servers", {"name": "Cats"}))["id"]
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "ann"}, "ann")
        general = await ann.post(f"/servers/{cats}/channels", {"name": "general"})
        await teller.hear("PERMISSIONS_UPDATE", {"serverId": cats, "channelId": general["id"]}, "ann")
        await teller.hear("CHANNEL_UPDATE", general, "ann")
        await ben.post(f"/servers/{cats}/members")
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "ben"}, "ann", "ben")

        # They talk, by REST and by socket.
        in_general = f"/channels/{general['id']}/messages"
        message = await ben.post(in_general, {"content": "Miaow 😺"})
        await teller.hear("MESSAGE_CREATE", message, *both)
        await at_anns.emit("message/create", {"channelId": general["id"], "content": "Purr", "payload": {"a": [1]}})
        purr = await teller.hear_alike("MESSAGE_CREATE", *both)
        assert (purr["authorId"], purr["content"], purr["payload"]) == ("ann", "Purr", {"a": [1]})
        assert purr == await ben.get(f"/messages/{purr['id']}")
        await at_bens.emit("message/create", {"channelId": "nowhere", "content": "Anybody?"})
        await teller.hear("error", {"message": "Failed to create message"}, "ben")

        edited = await ben.patch(f"/messages/{message['id']}", {"content": "Miaow!"})
        await teller.hear("MESSAGE_UPDATE", edited, *both)
        reacted = await ann.put(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await teller.hear("MESSAGE_REACTION_ADD", reacted, *both)
        unreacted = await ann.delete(f"/messages/{message['id']}/reactions/%F0%9F%98%BB")
        await teller.hear("MESSAGE_REACTION_REMOVE", unreacted, *both)

        # A direct message goes to a shared room and to personal rooms: it arrives once.
        direct = await ann.post("/users/ben/dm")
        await teller.hear("DM_CHANNEL_CREATE", direct, *both)
        whisper = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Between us"})
        await teller.hear("MESSAGE_CREATE", whisper, *both)
        await at_bens.emit("message/create", {"channelId": direct["id"], "content": "Of course"})
        answer = await teller.hear_alike("MESSAGE_CREATE", *both)
        assert (answer["authorId"], answer["content"]) == ("ben", "Of course")

        # Ann hides the channel from Ben, sends a message, and shows the channel again.
        for_ben = f"/channels/{general['id']}/permissions/users/ben"
        changed = {"serverId": cats, "channelId": general["id"], "userId": "ben"}
        await ann.put(for_ben, {"deny": ["VIEW_CHANNEL"]})
        await teller.hear("PERMISSIONS_UPDATE", changed, "ben")
        await teller.hear("MESSAGE_CREATE", await ann.post(in_general, {"content": "Ben is…"}), "ann")
        await ann.delete(for_ben)
        await teller.hear("PERMISSIONS_UPDATE", changed, "ben")
        await teller.hear("MESSAGE_CREATE", await ann.post(in_general, {"content": "Hello, Ben"}), *both)

        # Ben is kicked. He receives nothing more of the server, only personal events.
        await ann.delete(f"/servers/{cats}/members/ben")
        await teller.hear("SERVER_KICK", {"serverId": cats}, "ben")
        await teller.hear("MEMBER_LEAVE", {"serverId": cats, "userId": "ben"}, "ann")
        await teller.hear("MESSAGE_CREATE", await ann.post(in_general, {"content": "Gone"}), "ann")
        await teller.hear("SERVER_UPDATE", await ann.patch(f"/servers/{cats}", {"name": "Just me"}), "ann")
        apology = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Sorry"})
        await teller.hear("MESSAGE_CREATE", apology, *both)

        # Ben joins again; the channel is deleted, then the server.
        await ann.post(f"/servers/{cats}/members", {"userId": "ben"})
        await teller.hear("MEMBER_JOIN", {"serverId": cats, "userId": "ben"}, *both)
        await teller.hear("MESSAGE_CREATE", await ann.post(in_general, {"content": "Back"}), *both)
        await ann.delete(f"/channels/{general['id']}")
        await teller.hear("CHANNEL_DELETE", {"channelId": general["id"], "serverId": cats}, *both)
        await ann.delete(f"/servers/{cats}")
        await teller.hear("SERVER_DELETE", {"serverId": cats}, *both)

        # Ben has a second tab. Closing the first changes nothing; closing both takes him offline.
        second_tab = await connect(server.url, auth={"token": ben.token})
        await second_tab.expect("ready")
        assert [received.event for received in second_tab.events] == ["PRESENCE_INITIAL_STATE", "ready"]
        await at_bens.disconnect()
        last = await ann.post(f"/channels/{direct['id']}/messages", {"content": "Still there?"})
        await teller.hear("MESSAGE_CREATE", last, "ann")
        assert (await second_tab.expect("MESSAGE_CREATE")).data == last
        await second_tab.disconnect()
        await teller.hear("PRESENCE_UPDATE", {"userId": "ben", "status": "offline"}, "ann")
        teller.check()
