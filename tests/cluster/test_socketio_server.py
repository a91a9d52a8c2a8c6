"""`SocketIOServer` on several nodes: what its methods do to clients of other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.node_client import PATIENCE
from tests.support.python_client import NO_ANSWER, PythonClient
from tests.support.redis_server import RedisProcess


@pytest.fixture
async def nodes(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes."""
    async with Cluster(tmp_path, redis_process.url, "tests.support.socketio_app") as cluster:
        yield await cluster.start(), await cluster.start()


async def sid_in(client: PythonClient, *rooms: str) -> str:
    """Put a client into rooms. Returns its `sid`."""
    for room in rooms:
        [sid] = await client.call("join", room)
    return str(sid)


async def events_until_end(node: Node, client: PythonClient) -> list[tuple[str, list[Any]]]:
    """The events that a client has received, up to a marker that a node sends to all clients now."""
    await node.call("emit", "end")
    await client.expect("end")
    return [(each.event, each.args) for each in client.events if each.event != "end"]


async def test_an_event_to_several_rooms_reaches_each_client_of_every_node_once(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    sids = [await sid_in(ada, "a", "b"), await sid_in(bob, "a", "b"), await sid_in(eve, "b", "c")]
    for node in nodes:
        await node.call("emit", "to both", 1, room=["a", "b"])
        await node.call("emit", "to one of them", 1, to=["c", "d"])
        await node.call("emit", "to rooms and clients", 1, to=["a", sids[1], sids[2]])
        await node.call("emit", "without bob", 1, room=["a", "b"], skip_sid=sids[1])
        await node.call("emit", "without two", 1, skip_sid=[sids[0], sids[2]])
        await node.call("emit", "nowhere", 1, room=["d", "e"])
    expected = {
        ada: ["to both", "to rooms and clients", "without bob"],
        bob: ["to both", "to rooms and clients", "without two"],
        eve: ["to both", "to one of them", "to rooms and clients", "without bob"],
    }
    for client, names in expected.items():
        assert await events_until_end(first, client) == [(name, [1]) for name in 2 * names]
        await client.disconnect()


async def test_rooms_of_a_client_of_another_node_are_changed_before_later_events(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    ids = [await sid_in(ada, "lobby"), await sid_in(bob, "lobby")]
    await sid_in(eve, "attic")  # so the node has subscribed, and bob gets what is published before it leaves
    for number in range(10):
        assert await first.call("enter_room", ids[1], "attic") == {"result": None}
        await first.call("emit", f"in attic {number}", room="attic")
        await first.call("leave_room", ids[1], "attic")
        await first.call("emit", "after leaving", room="attic")
    await first.call("enter_room", ids[1], "attic")
    assert set((await second.call("rooms", ids[1]))["result"]) == {ids[1], "lobby", "attic"}
    assert (await first.call("rooms", ids[1]))["result"] == []
    await first.call("close_room", "lobby")
    await first.call("emit", "after closing", room="lobby")
    assert await events_until_end(first, bob) == [(f"in attic {number}", []) for number in range(10)]
    assert await events_until_end(first, ada) == []
    for client in (ada, bob, eve):
        await client.disconnect()


async def test_no_client_enters_or_closes_the_room_of_a_client_of_another_node(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    ids = [await sid_in(client, "lobby") for client in (ada, bob, eve)]
    entering = {"error": "ValueError", "message": "cannot enter a sid room"}
    assert await first.call("enter_room", ids[0], ids[1]) == entering
    assert await first.call("enter_room", ids[2], ids[1]) == entering
    assert await second.call("enter_room", ids[2], ids[1]) == entering
    assert await first.call("close_room", ids[1]) == {"error": "ValueError", "message": "cannot close a sid room"}
    await first.call("emit", "secret", to=ids[1])
    await second.call("emit", "secret", to=ids[1])
    await ada.disconnect()
    assert await events_until_end(first, bob) == [("secret", []), ("secret", [])]
    assert await events_until_end(first, eve) == []
    for client in (bob, eve):
        await client.disconnect()


async def test_a_client_of_another_node_is_disconnected_from_its_namespace(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    await sid_in(ada, "watchers")
    ids = [await sid_in(client, "lobby") for client in (bob, eve)]
    await first.call("disconnect", ids[1], ignore_queue=True)
    await first.call("disconnect", ids[0])
    assert await bob.disconnection() == "server disconnect"
    assert (await ada.expect("left")).args == [ids[0], "server disconnect"]
    await first.call("emit", "still")
    await eve.expect("still")
    for client in (ada, eve):
        await client.disconnect()


async def test_the_session_of_a_client_of_another_node_is_refused_with_a_remedy(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    bob = await second.connect("bob")
    sid = await sid_in(bob, "lobby")
    assert "auth" in (await second.call("get_session", sid))["result"]
    for method, *arguments in (("get_session",), ("save_session", {"a": 1}), ("transport",)):
        answer = await first.call(method, sid, *arguments)
        assert answer["error"] == "KeyError"
        assert "not connected to this process" in answer["message"] and "in a database" in answer["message"]
        assert await first.call(method, "unknown", *arguments) == {
            "error": "KeyError",
            "message": "'Session not found'",
        }
    unknown = {"error": "ValueError", "message": "sid is not connected to requested namespace"}
    assert await first.call("enter_room", "unknown", "lobby") == unknown
    assert (await first.call("get_environ", sid))["result"] is None
    await bob.disconnect()


async def test_a_client_of_another_node_is_called(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob = await first.connect("ada"), await second.connect("bob")
    ids = [await sid_in(ada, "lobby"), await sid_in(bob, "lobby")]
    values: list[tuple[Any, Any]] = [
        (None, None),
        (1, 1),
        ((1, [2], "é"), [1, [2], "é"]),
        (2**70, 2**70),
        ("\U0001f600", "\U0001f600"),
    ]
    for answer, expected in values:
        bob.answer = answer
        for node in nodes:
            assert await node.call("call", "ask", [1, {"a": "b"}], to=ids[1]) == {"result": expected}
    assert [(each.event, each.args) for each in bob.events] == [("ask", [[1, {"a": "b"}]])] * 2 * len(values)
    bob.answer = NO_ANSWER
    timeout = {"error": "TimeoutError", "message": ""}
    assert await first.call("call", "ask", to=ids[1], timeout=0.2) == timeout
    assert await first.call("call", "ask", to=ids[1], ignore_queue=True, timeout=60) == timeout
    await bob.disconnect()
    assert await first.call("call", "ask", to=ids[1], timeout=0.2) == timeout
    assert await first.call("call", "ask", to="unknown", timeout=60) == timeout
    await ada.disconnect()


async def test_callbacks_get_the_acknowledgements_of_the_clients_of_every_node(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    clients = {name: await node.connect(name) for name, node in (("ada", first), ("bob", second), ("eve", second))}
    sids = {}
    for name, client in clients.items():
        sids[name] = await sid_in(client, "lobby", "attic" if name == "eve" else "hall")
        client.answer = (name, b"\x00\xff") if name == "bob" else (name,)

    async def answers(count: int) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while len(found := (await first.call("answers"))["result"]) < count:
                pass
        await first.call("forget answers")
        return sorted(found)

    bob, ada, eve = ["bob", "b'\\x00\\xff'"], ["ada"], ["eve"]
    await first.call("emit", "before", room="lobby")
    await first.call("emit", "ask", (1, 2), to=sids["bob"], callback=True)
    assert await answers(1) == [bob]
    await first.call("emit", "ask", room="lobby", callback=True)
    assert await answers(3) == [ada, bob, eve]
    await first.call("emit", "ask", room=["attic", "hall"], skip_sid=sids["ada"], callback=True)
    assert await answers(2) == [bob, eve]
    await first.call("emit", "ask", callback=True)
    assert await answers(3) == [ada, bob, eve]
    await first.call("emit", "here", ignore_queue=True)
    await first.call("emit", "here", callback=True, ignore_queue=True)
    assert await answers(1) == [ada]
    events = {name: [event for event, _ in await events_until_end(first, client)] for name, client in clients.items()}
    assert events == {
        "ada": ["before", "ask", "ask", "here", "here"],
        "bob": ["before", "ask", "ask", "ask", "ask"],
        "eve": ["before", "ask", "ask", "ask"],
    }
    for client in clients.values():
        await client.disconnect()
