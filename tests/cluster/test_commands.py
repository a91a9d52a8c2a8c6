"""Every method of a broadcaster is called on one node and takes effect for stock clients of another."""

from __future__ import annotations

import asyncio
import json

import websockets

from asgi_realtime import Broadcaster, Settings, create_token
from tests.support.cluster import SECRET, Cluster, Node
from tests.support.python_client import PythonClient


async def two_nodes(cluster: Cluster) -> tuple[Node, Node]:
    first, second = await asyncio.gather(cluster.start(), cluster.start())
    return first, second


async def events_until_end(node: Node, client: PythonClient, user_id: str) -> list[str]:
    """The events that a client has received, up to a marker that is sent now."""
    await node.call("broadcast_to_user", user_id, "end")
    await client.expect("end")
    return [each.event for each in client.events if each.event != "end"]


async def test_targets_exceptions_volatile_events_and_keys_work_across_nodes(cluster: Cluster) -> None:
    first, second = await two_nodes(cluster)
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    ids = {name: (await client.call("join", "lobby"))[0] for name, client in (("ada", ada), ("bob", bob))}
    receipt = await first.call("broadcast_to_room", "lobby", "room")
    assert (receipt["delivered_locally"], receipt["replicated"]) == (1, True)
    await first.call("broadcast_to_user", "bob", "user")
    await first.call("broadcast_to_users", ["bob", "ada", "bob"], "users")
    await first.call("broadcast_to_all", "all")
    await first.call("broadcast_to_room", "lobby", "but bob", except_=ids["bob"])
    await second.call("broadcast_to_all", "but ada and bob", except_=list(ids.values()))
    await first.call("broadcast_to_room", "lobby", "volatile", volatile=True)
    await first.call("broadcast_to_users", ["ada", "eve"], "volatile", volatile=True)
    keyed = [await node.call("broadcast_to_room", "lobby", "once", key="k") for node in (first, second)]
    assert keyed[0]["position"] == keyed[1]["position"]
    assert await events_until_end(first, ada, "ada") == [
        *("room", "users", "all", "but bob", "volatile", "volatile", "once")
    ]
    assert await events_until_end(first, bob, "bob") == ["room", "user", "users", "all", "volatile", "once"]
    assert await events_until_end(second, eve, "eve") == ["all", "but ada and bob", "volatile"]
    for client in (ada, bob, eve):
        await client.disconnect()


async def test_membership_changes_hold_for_every_later_broadcast(cluster: Cluster) -> None:
    first, second = await two_nodes(cluster)
    bob, eve = await second.connect("bob"), await second.connect("eve")
    for number in range(20):
        await first.call("add_user_to_room", "bob", "server")
        await first.call("add_user_to_room", "bob", "channel", parent="server")
        await first.call("broadcast_to_room", "channel", f"in {number}")
        await first.call("remove_user_from_room", "bob", "server")  # the parent of the channel
        await first.call("broadcast_to_room", "channel", "out")
    for user_id in ("bob", "eve"):
        await first.call("add_user_to_room", user_id, "hall")
    await first.call("broadcast_to_room", "hall", "in hall")
    await first.call("close_room", "hall")
    await first.call("broadcast_to_room", "hall", "closed")
    assert await events_until_end(first, bob, "bob") == [*(f"in {number}" for number in range(20)), "in hall"]
    assert await events_until_end(first, eve, "eve") == ["in hall"]
    for client in (bob, eve):
        await client.disconnect()


async def test_a_refresh_on_one_node_changes_the_rooms_on_another(cluster: Cluster) -> None:
    cluster.set_rooms({"bob": {"old": None}, "eve": {"old": None}})
    first, second = await asyncio.gather(cluster.start(), cluster.start(ROOMS_DELAY="0.2"))
    bob, eve = await second.connect("bob"), await second.connect("eve")
    cluster.set_rooms({"bob": {"new": None}, "eve": {"old": None, "new": None}})
    await first.call("refresh_rooms", "bob")
    await first.call("broadcast_to_room", "new", "to bob")
    await first.call("broadcast_to_room", "old", "to eve")
    await first.call("refresh_members", "old")
    await first.call("broadcast_to_room", "new", "to both")
    cluster.set_rooms({"bob": {"newest": None}})
    settings = Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix)
    async with Broadcaster.connect(settings=settings) as broadcaster:
        await broadcaster.refresh_rooms("bob")
        await broadcaster.broadcast_to_room("newest", "from elsewhere")
    assert await events_until_end(first, bob, "bob") == ["to bob", "to both", "from elsewhere"]
    assert await events_until_end(first, eve, "eve") == ["to eve", "to both"]
    for client in (bob, eve):
        await client.disconnect()


async def test_a_newer_device_on_another_node_replaces_the_older_one(cluster: Cluster) -> None:
    first, second = await two_nodes(cluster)
    other = await second.connect("bob", "/device")
    clients = [await second.connect("ada", "/device")]
    for node in (first, second, first):
        clients.append(await node.connect("ada", "/device"))
        await clients[-2].disconnection()
        assert [(each.event, each.data) for each in clients[-2].events] == [("replaced", {"by": "another device"})]
    await second.call("broadcast_to_all", "still", gateway="/device")
    for client in (clients[-1], other):
        await client.expect("still")
        await client.disconnect()


async def test_a_user_is_disconnected_on_every_node_and_gateway(cluster: Cluster) -> None:
    first, second = await two_nodes(cluster)
    settings = Settings(jwt_secret=SECRET)
    bob, eve = await second.connect("bob"), await second.connect("eve")
    url = f"{second.process.server.websocket_url}/ws?token={create_token('bob', settings)}&recovery=false"
    async with websockets.connect(url) as socket:
        async with asyncio.timeout(5):
            await socket.recv()
            await first.call("broadcast_to_user", "bob", "hello", {"n": 1}, gateway="/ws")
            assert json.loads(await socket.recv()) == {"type": "hello", "data": {"n": 1}}
            await first.call("disconnect_user", "bob", code=4001, reason="banned")
            await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (4001, "banned")
    await bob.disconnection()
    await first.call("broadcast_to_all", "still")
    await eve.expect("still")
    await eve.disconnect()
