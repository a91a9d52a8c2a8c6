"""Steps of Mew and Infra for which one node is not enough. They run on `MewNodes`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from asgi_realtime import create_token
from tests.support.mew_app import SETTINGS, Person, ReceivedEvent
from tests.support.mew_nodes import CONNECTIONS_PER_USER, MewNodes
from tests.support.node_client import ConnectRefused
from tests.support.python_client import PythonClient
from tests.support.roaming_client import RoamingClient
from tests.support.round_robin import round_robin
from tests.support.stock_client import StockClient
from tests.wire.test_example_events import to

EVERYBODY = ("alice", "bob", "carol", "dave")


def presence(user_id: str, status: str) -> ReceivedEvent:
    return ("PRESENCE_UPDATE", {"userId": user_id, "status": status})


async def ids_of(mew: MewNodes, *user_ids: str) -> list[str]:
    """The ids of the only connection of each of these users."""
    found = []
    for user_id in user_ids:
        answer = await mew.host.call("connections", user_id, gateway="/")
        assert answer["complete"]
        [connection] = answer["value"]
        found.append(connection["id"])
    return found


async def until_connections(mew: MewNodes, user_id: str, number: int) -> None:
    """Wait until a user has this many connections."""
    async with asyncio.timeout(10):
        while len((await mew.host.call("connections", user_id, gateway="/"))["value"]) != number:
            pass


async def handled(*people: Person) -> None:
    """Wait until everything that these people's connections have begun is done, such as announcing the user."""
    for person in people:
        await person.emit("message/create", {})
        await person.events_until("error")


# Presence


async def tabs_on_two_nodes_are_one_user(mew: MewNodes) -> None:
    erin = "erin"
    online, offline = to(*EVERYBODY, events=[presence(erin, "online")]), presence(erin, "offline")
    for number in range(6):
        tabs = mew.tabs(erin)
        if number % 2:
            await asyncio.gather(*(tab.connect() for tab in tabs))
        else:
            for tab in tabs:
                await tab.connect()
        await handled(*tabs)
        assert await mew.received() == online, "once, although both tabs may have connected at the same time"
        if number % 3:
            await asyncio.gather(*(tab.disconnect() for tab in tabs))
        else:
            await tabs[number % 2].disconnect()
            await until_connections(mew, erin, 1)
            assert await mew.received() == to(events=[])
            await tabs[1 - number % 2].disconnect()
        # A second announcement would be in the next round.
        await mew.alice.events_until("PRESENCE_UPDATE")
        assert await mew.received() == to("bob", "carol", "dave", events=[offline])
    assert erin not in await mew.host.call("online_users")


async def a_new_client_gets_the_users_of_every_node(mew: MewNodes) -> None:
    for tab in mew.tabs("erin"):
        await tab.connect(wait=None)
        assert await tab.next_event() == ("PRESENCE_INITIAL_STATE", [*EVERYBODY, "erin"])
        assert await tab.next_event() == ("ready", None)
        await tab.disconnect()
        for person in mew.people.values():
            assert [await person.next_event() for _ in range(2)] == [
                presence("erin", "online"),
                presence("erin", "offline"),
            ]


async def connections_of_a_user_are_counted_over_nodes(mew: MewNodes) -> None:
    tabs = mew.tabs("frank")
    for _ in range(3):
        opened = await asyncio.gather(*(tab.open() for tab in tabs * CONNECTIONS_PER_USER), return_exceptions=True)
        sockets: list[StockClient] = [each for each in opened if not isinstance(each, BaseException)]
        refused = [each for each in opened if isinstance(each, ConnectRefused)]
        assert (len(sockets), len(refused)) == (CONNECTIONS_PER_USER, CONNECTIONS_PER_USER)
        assert {(each.message, str(each.data)) for each in refused} == {
            ("too many connections", "{'code': 'RATE_LIMITED'}")
        }
        # A place that becomes free on one node can be taken on the other one, once.
        await sockets.pop().disconnect()
        await until_connections(mew, "frank", CONNECTIONS_PER_USER - 1)
        sockets.append(await opened_at_last(tabs[1]))
        for tab in tabs:
            with pytest.raises(ConnectRefused):
                await tab.open()
        for socket in sockets:
            await socket.disconnect()
        await until_connections(mew, "frank", 0)
        await mew.alice.events_until("PRESENCE_UPDATE")
        await mew.alice.events_until("PRESENCE_UPDATE")
    for person in (mew.bob, mew.carol, mew.dave):
        received = [await person.next_event() for _ in range(6)]
        assert received == [presence("frank", status) for status in ("online", "offline") * 3]


async def opened_at_last(tab: Person) -> StockClient:
    """Open a socket as soon as presence allows it. It counts a connection until shortly after its end."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await tab.open()
            except ConnectRefused:
                pass


# Calls of the host


async def the_host_reaches_rooms_users_and_everybody(mew: MewNodes) -> None:
    host = mew.host
    receipt = await host.call("broadcast_to_room", mew.private, "E", {"n": 1})
    assert (receipt["delivered_locally"], receipt["replicated"]) == (0, True)
    assert await mew.received() == to("alice", "bob", events=[("E", {"n": 1})])
    await host.call("broadcast_to_user", "carol", "E", 2)
    assert await mew.received() == to("carol", events=[("E", 2)])
    await host.call("broadcast_to_users", ["carol", "dave", "carol", "unknown"], "E", 3)
    assert await mew.received() == to("carol", "dave", events=[("E", 3)])
    await host.call("broadcast_to_all", "E", None)
    assert await mew.received() == to(*EVERYBODY, events=[("E", None)])
    # A key counts for all nodes.
    receipts = [
        await node.call("broadcast_to_room", mew.general, "E", node.url, key=f"once in {mew.general}")
        for node in (mew.third, host, mew.second)
    ]
    assert len({each["position"] for each in receipts}) == 1
    assert await mew.received() == to("alice", "bob", "carol", events=[("E", mew.third.url)])


async def events_leave_out_connections_of_other_nodes(mew: MewNodes) -> None:
    alice, bob = await ids_of(mew, "alice", "bob")
    for node in (mew.host, mew.second, mew.third):
        await node.call("broadcast_to_room", mew.general, "E", except_=bob)
        assert await mew.received() == to("alice", "carol", events=[("E", None)])
        await node.call("broadcast_to_all", "E", except_=[alice, bob])
        assert await mew.received() == to("carol", "dave", events=[("E", None)])
        await node.call("broadcast_to_users", ["alice", "bob", "dave"], "E", except_=[alice], volatile=True)
        assert await mew.received() == to("bob", "dave", events=[("E", None)])
        await node.call("broadcast_to_user", "bob", "E", except_=bob)
        assert await mew.received() == to(events=[])


async def volatile_events_keep_their_place_in_the_order(mew: MewNodes) -> None:
    for number in range(30):
        node = (mew.host, mew.second, mew.third)[number % 3]
        await node.call("broadcast_to_room", mew.general, "E", number, volatile=number % 2 == 1)
    assert await mew.received() == to("alice", "bob", "carol", events=[("E", number) for number in range(30)])


async def membership_changes_hold_for_later_events_of_every_node(mew: MewNodes) -> None:
    nodes = (mew.host, mew.second, mew.third)
    for number in range(9):
        here, there = nodes[number % 3], nodes[(number + 1) % 3]
        await here.call("add_user_to_room", "dave", "hall")
        await there.call("broadcast_to_room", "hall", "E", f"in {number}")
        await there.call("add_user_to_room", "dave", "room in the hall", parent="hall")
        await here.call("broadcast_to_room", "room in the hall", "E", f"below {number}")
        await here.call("remove_user_from_room", "dave", "hall")
        await there.call("broadcast_to_room", "hall", "E", "LEAK")
        await there.call("broadcast_to_room", "room in the hall", "E", "LEAK")
    expected = [("E", f"{where} {number}") for number in range(9) for where in ("in", "below")]
    assert await mew.received() == to("dave", events=expected)
    for user_id in ("alice", "dave"):
        await mew.host.call("add_user_to_room", user_id, "hall")
    await mew.second.call("close_room", "hall")
    await mew.third.call("broadcast_to_room", "hall", "E", "LEAK")
    assert await mew.received() == to(events=[])


async def a_refresh_asks_the_database_on_the_node_of_the_client(mew: MewNodes) -> None:
    for node, method, argument in (
        (mew.host, "refresh_rooms", "bob"),
        (mew.second, "refresh_rooms", "bob"),
        (mew.host, "refresh_members", mew.server),  # the room of the server, in which Bob is still
    ):
        await mew.host.call("remove_user_from_room", "bob", mew.general)
        await mew.host.call("broadcast_to_room", mew.general, "E", 1)
        assert await mew.received() == to("alice", "carol", events=[("E", 1)])
        await node.call(method, argument)
        await mew.third.call("broadcast_to_room", mew.general, "E", 2)
        assert await mew.received() == to("alice", "bob", "carol", events=[("E", 2)])


async def a_user_is_disconnected_on_every_node(mew: MewNodes) -> None:
    tabs = mew.tabs("erin")
    sockets = [await tab.open() for tab in tabs]
    events = [await tab.open("/events") for tab in tabs]
    await mew.host.call("disconnect_user", "erin", code=4001, reason="banned", gateway="/")
    for socket in sockets:
        await socket.disconnection()
    await mew.host.call("broadcast_to_user", "erin", "E", gateway="/events")
    for socket in events:
        await socket.expect("E")
    await mew.host.call("disconnect_user", "erin")
    for socket in events:
        await socket.disconnection()
    await until_connections(mew, "erin", 0)
    for tab in tabs:  # the user may come back
        await tab.connect()
        await tab.disconnect()
    received = await mew.received()
    assert all(event == "PRESENCE_UPDATE" for events in received.values() for event, _ in events)
    await mew.host.call("broadcast_to_all", "still here")
    for person in mew.people.values():
        await person.events_until("still here")


async def a_revoked_token_ends_on_every_node_and_is_refused_there(mew: MewNodes) -> None:
    tabs = mew.tabs("grace")
    tokens = {jti: create_token("grace", SETTINGS, jti=f"{jti} {mew.server}") for jti in ("old", "kept")}
    sockets = {jti: [await tab.open(auth={"token": token}) for tab in tabs] for jti, token in tokens.items()}
    await mew.host.call("revoke_token", f"old {mew.server}")
    for socket in sockets["old"]:
        await socket.disconnection()
    await mew.host.call("broadcast_to_user", "grace", "E")
    for socket in sockets["kept"]:
        await socket.expect("E")
        assert not socket.disconnects
    for tab in tabs:
        with pytest.raises(ConnectRefused, match="invalid credentials"):
            await tab.open(auth={"token": tokens["old"]})
    await mew.third.call("revoke_user", "grace")
    for socket in sockets["kept"]:
        await socket.disconnection()
    for tab in tabs:
        with pytest.raises(ConnectRefused, match="invalid credentials"):
            await tab.open(auth={"token": tokens["kept"]})


async def a_channel_with_the_id_of_a_user_is_a_different_room(mew: MewNodes) -> None:
    await mew.host.call("add_user_to_room", "alice", "bob")
    await mew.host.call("broadcast_to_room", "bob", "ROOM")
    await mew.host.call("broadcast_to_user", "bob", "PERSONAL")
    assert await mew.received() == to("alice", events=[("ROOM", None)]) | {"bob": [("PERSONAL", None)]}
    await mew.host.call("close_room", "bob")
    await mew.host.call("broadcast_to_room", "bob", "ROOM")
    await mew.host.call("broadcast_to_user", "bob", "PERSONAL")
    assert await mew.received() == to("bob", events=[("PERSONAL", None)])


# Infra


async def infra_is_apart_from_users_on_every_node(mew: MewNodes) -> None:
    service_type = f"bots of {mew.server}"
    auth = {"adminSecret": SETTINGS.admin_secret, "serviceType": service_type}
    services = mew.tabs(service_type)
    for service in services:
        await service.connect(namespace="/infra", auth=auth, wait=None)
    users = mew.tabs(service_type)  # users whose id is that of the services' room
    for user in users:
        await user.connect()
    await mew.host.call("broadcast_to_all", "LEAK")
    await mew.host.call("broadcast_to_room", service_type, "LEAK")
    await mew.host.call("broadcast_to_user", service_type, "E")
    for user in users:
        await user.events_until("E")
    await mew.host.call("revoke_user", service_type)
    await mew.host.call("disconnect_user", service_type)
    for user in users:
        await user.sockets[-1].disconnection()
        await user.disconnect()
    size = await mew.host.call("room_size", service_type, gateway="/infra")
    assert (size["value"], size["complete"]) == (2, True)
    await mew.alice.post(f"/infra/bots/{service_type}/bot-1/config")
    changed = ("SYSTEM_BOT_CONFIG_UPDATE", {"serviceType": service_type, "botId": "bot-1"})
    for service in services:
        assert await service.next_event() == changed
    await mew.second.call("broadcast_to_all", "E", 1, gateway="/infra")
    await mew.third.call("broadcast_to_user", f"service:{service_type}", "E", 2, gateway="/infra")
    for service in services:
        assert [await service.next_event() for _ in range(2)] == [("E", 1), ("E", 2)]
    received = await mew.received()
    assert {event for events in received.values() for event, _ in events} == {"LEAK", "PRESENCE_UPDATE"}
    await mew.host.call("disconnect_user", f"service:{service_type}", gateway="/infra")
    for service in services:
        await service.sockets[-1].disconnection()
        await service.disconnect()


# Order, and requests that reach any node


async def all_clients_see_the_events_of_all_nodes_in_one_order(mew: MewNodes) -> None:
    nodes = (mew.host, mew.second, mew.third)

    async def publish(number: int) -> None:
        for event in range(30):
            await nodes[number].call("broadcast_to_room", mew.general, "E", [number, event])

    await asyncio.gather(*(publish(number) for number in range(3)))
    received = await mew.received()
    assert received["alice"] == received["bob"] == received["carol"]
    assert received["dave"] == []
    for number in range(3):
        assert [data for _, data in received["alice"] if data[0] == number] == [[number, event] for event in range(30)]
    assert len(received["alice"]) == 90


async def requests_of_a_polling_client_reach_all_nodes_in_turn(mew: MewNodes) -> None:
    nodes = (mew.second, mew.host, mew.third)
    async with httpx.AsyncClient(timeout=20) as http:
        client = RoamingClient(http, [node.url for node in nodes])
        assert SETTINGS.jwt_secret is not None
        await client.connect("dave", SETTINGS.jwt_secret, at=1)
        assert await client.event() == ["PRESENCE_INITIAL_STATE", list(EVERYBODY)]
        assert await client.event() == ["ready"]
        await mew.dave.post(f"/servers/{mew.server}/members")
        joined = {"serverId": mew.server, "userId": "dave"}
        assert await client.event() == ["MEMBER_JOIN", joined]
        await mew.received()
        assert await client.event() == ["MARK"]
        for number in range(6):
            content = {"channelId": mew.general, "content": f"Hello {number}"}
            await client.post(f"42{json.dumps(['message/create', content])}")
            [event, message] = await client.event()
            assert (event, message["content"]) == ("MESSAGE_CREATE", f"Hello {number}")
            assert await mew.received() == to(*EVERYBODY, events=[("MESSAGE_CREATE", message)])
            assert await client.event() == ["MARK"]
        await mew.alice.delete(f"/servers/{mew.server}/members/dave")
        assert await client.event() == ["SERVER_KICK", {"serverId": mew.server}]
        await mew.alice.post(f"/channels/{mew.general}/messages", {"content": "LEAK"})
        await mew.received()
        assert await client.event() == ["MARK"]
        await client.post("41")


async def stock_polling_clients_work_behind_a_round_robin(mew: MewNodes) -> None:
    nodes = [mew.second.url, mew.host.url, mew.third.url]
    alone = {"Connection": "close"}  # each request has a connection of its own, so it reaches the next node
    async with round_robin(nodes) as proxy:
        npm = await mew.node.connect(proxy.url, auth={"token": mew.alice.token}, headers=alone, transports=["polling"])
        python = PythonClient()
        await python.connect(proxy.url, auth={"token": mew.dave.token}, headers=alone, transports=["polling"])
        for client in (npm, python):
            await client.expect("ready")
        await mew.dave.post(f"/servers/{mew.server}/members")
        sent = []
        for number in range(8):
            sender = (npm, python)[number % 2]
            await sender.emit("message/create", {"channelId": mew.general, "content": str(number)})
            received = [await client.expect("MESSAGE_CREATE") for client in (npm, python)]
            assert received[0] == received[1]
            sent.append(("MESSAGE_CREATE", received[0].data))
        assert [message["content"] for _, message in sent] == list(map(str, range(8)))
        joined = ("MEMBER_JOIN", {"serverId": mew.server, "userId": "dave"})
        assert await mew.received() == to(*EVERYBODY, events=[joined, *sent])
        assert (npm.transport, python.transport) == ("polling", "polling")
        for client in (npm, python):
            await client.expect("MARK")
            assert [received.event for received in client.events] == [
                *("PRESENCE_INITIAL_STATE", "ready", "MEMBER_JOIN"),
                *["MESSAGE_CREATE"] * 8,
                "MARK",
            ]
            assert not client.disconnects
            await client.disconnect()
        assert min(proxy.connections[node] for node in nodes) > 5


STEPS: list[Any] = [
    connections_of_a_user_are_counted_over_nodes,
    the_host_reaches_rooms_users_and_everybody,
    events_leave_out_connections_of_other_nodes,
    volatile_events_keep_their_place_in_the_order,
    membership_changes_hold_for_later_events_of_every_node,
    a_refresh_asks_the_database_on_the_node_of_the_client,
    requests_of_a_polling_client_reach_all_nodes_in_turn,
    stock_polling_clients_work_behind_a_round_robin,
]
"""Steps that show no row of the page."""
