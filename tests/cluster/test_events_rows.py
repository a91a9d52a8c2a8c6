"""Events (docs/reference/protocols.md, section 2) across nodes: each row whose effect reaches other clients.

The host's calls run on one node that serves no clients. The clients are in turn npm's on a second node and
python-socketio's on a third.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asgi_realtime import Settings, create_token
from tests.cluster.rows import Case, Table, across_nodes, cases, one_connection, problems
from tests.support.cluster import SECRET, Cluster
from tests.support.cluster import Node as ServerNode
from tests.support.events_app import WATCHERS
from tests.support.events_clients import MARK, EventsClients, ask
from tests.support.node_client import Received, node_process
from tests.support.redis_server import RedisProcess
from tests.support.stock_client import ClientServer, StockClient
from tests.support.waiting import no_task_left
from tests.wire import test_events as steps


class EventsNodes(EventsClients):
    """Three nodes, and the clients of one step."""

    def __init__(self, host: ServerNode, servers: list[ClientServer], watcher: StockClient) -> None:
        super().__init__(self.open, lambda: host.call("broadcast_to_all", MARK))
        self.host = host
        self._servers = servers
        self._watcher = watcher
        self.begin()

    def begin(self) -> None:
        """Begin a step."""
        self._next = itertools.cycle(self._servers)
        self._opened: list[tuple[str, StockClient]] = []

    async def open(self, user_id: str) -> StockClient:
        """Open a client on the next node."""
        server = next(self._next)
        token = create_token(user_id, Settings(jwt_secret=SECRET))
        client = await server.connect("/events", {"token": token})
        self._opened.append((server.url, client))
        return client

    async def end(self) -> None:
        """Disconnect the clients of the step, and wait until all have left their rooms."""
        for _, client in self._opened:
            if not client.disconnects:
                await client.disconnect()
        for _ in self._opened:
            await self._watcher.expect("gone")

    def received_on(self, event: str) -> set[str]:
        return {url for url, client in self._opened if any(received.event == event for received in client.events)}


# Steps for which one node is not enough


async def clients_of_both_nodes_join_speak_and_leave(clients: EventsNodes) -> None:
    ann, ben, cleo, dan = await clients.enter("ann", "ben", "cleo", "dan")
    room = {"room": "r"}
    for client in (ann, ben, cleo, dan):
        assert await ask(client, "join", room) == {"success": True, **room}
        assert await ask(client, "join", room) == {"success": True, **room}, "a second time: no event"
    joined = [Received("user:joined", [{"userId": user_id, **room}]) for user_id in ("ben", "cleo", "dan")]
    assert await clients.take(ann, ben, cleo, dan) == [joined, joined[1:], joined[2:], []]
    for client, name in ((ann, "ann"), (ben, "ben")):
        assert await ask(client, "message", {"content": name, **room}) == steps.DONE
    for client, name in ((cleo, "cleo"), (dan, "dan")):
        assert await ask(client, "message", {"content": name}) == steps.DONE
    said = [
        [received.data["content"] for received in received_by]
        for received_by in await clients.take(ann, ben, cleo, dan)
    ]
    everybody = ["ann", "ben", "cleo", "dan"]
    assert said == [everybody, everybody, ["ann", "ben", "dan"], ["ann", "ben", "cleo"]]
    for client in (dan, cleo):
        assert await ask(client, "leave", room) == {"success": True, **room}
        assert await ask(client, "leave", room) == {"success": True, **room}, "a second time: no event"
    assert await ask(cleo, "message", {"content": "x", **room}) == steps.no("无权访问此房间")
    await ben.disconnect()
    left = [{"userId": user_id, **room} for user_id in ("dan", "cleo", "ben")]
    assert [(await ann.expect("user:left")).data for _ in left] == left
    assert await clients.take(ann, cleo, dan) == [[], [Received("user:left", [left[0]])], []]


async def clients_join_from_a_position_of_another_node(clients: EventsNodes) -> None:
    ann, ben = await clients.enter("ann", "ben")
    position = await clients.host.call_at("/events-call", "position", "r")
    for level in range(2):
        await clients.host.call_at("/events-call", "broadcast_to_room", "r", "alarm", level)
    alarms = [Received("alarm", [level]) for level in range(2)]
    for client in (ann, ben):
        assert await ask(client, "join", {"room": "r", "position": position}) == {"success": True, "room": "r"}
        assert [await client.next() for _ in alarms] == alarms


async def each_tab_of_a_user_joins_by_itself(clients: EventsNodes) -> None:
    ann, tab, eve, other = await clients.enter("ann", "ann", "eve", "eve")
    room = {"room": "r"}
    for client in (eve, ann):
        await ask(client, "join", room)
    assert await ask(tab, "message", {"content": "x", **room}) == steps.no("无权访问此房间")
    joined = Received("user:joined", [{"userId": "ann", **room}])
    assert await clients.take(ann, tab, eve, other) == [[], [], [joined], []]
    await ask(tab, "join", room)
    assert await clients.take(ann, tab, eve, other) == [[joined], [], [joined], []]
    await ask(ann, "leave", room)
    left = Received("user:left", [{"userId": "ann", **room}])
    assert await clients.take(ann, tab, eve, other) == [[], [left], [left], []]
    await ask(eve, "message", {"content": "x", **room})
    of_ann, [message], [copy], of_other = await clients.take(ann, tab, eve, other)
    assert (of_ann, of_other, message) == ([], [], copy)


async def the_host_sends_its_own_events_and_those_of_events(clients: EventsNodes) -> None:
    ann, ben, cleo, dan = everybody = await clients.enter("ann", "ben", "cleo", "dan")
    for client in (ann, ben):
        await ask(client, "join", {"room": "r"})
    await clients.take(*everybody)

    async def do(method: str, *arguments: Any, **options: Any) -> None:
        await clients.host.call_at("/events-call", method, *arguments, **options)

    await do("broadcast_to_room", "r", "alarm", {"level": 1})
    await do("broadcast_to_all", "maintenance", ["at", "noon"])
    alarm, maintenance = Received("alarm", [{"level": 1}]), Received("maintenance", [["at", "noon"]])
    assert await clients.take(*everybody) == [*[[alarm, maintenance]] * 2, *[[maintenance]] * 2]

    # A user is put into a room, and taken out of it, by a call.
    member = {"userId": "dan", "room": "r"}
    await do("user_joined", "dan", "r")
    await do("message", "host", "in the room", room="r")
    await do("user_left", "dan", "r")
    await do("message", "host", "without Dan", room="r")
    await do("message", "host", "to all")
    of_ann, of_ben, of_cleo, of_dan = await clients.take(*everybody)
    assert [received.event for received in of_ann] == ["user:joined", "message", "user:left", "message", "message"]
    assert of_ann == of_ben
    assert [of_ann[0].data, of_ann[2].data] == [member, member]
    assert of_dan == [of_ann[1], of_ann[4]]
    assert of_cleo == [of_ann[4]]
    assert [of_ann[number].data["content"] for number in (1, 3, 4)] == ["in the room", "without Dan", "to all"]
    await do("close_room", "r")
    await do("broadcast_to_room", "r", "closed")
    for client in (ann, ben):
        assert await ask(client, "message", {"content": "x", "room": "r"}) == steps.no("无权访问此房间")
    assert await clients.take(*everybody) == [[], [], [], []]


async def a_handler_of_the_host_sends_volatile_events_to_the_others(clients: EventsNodes) -> None:
    ann, ben, cleo, dan = everybody = await clients.enter("ann", "ben", "cleo", "dan")
    for client in (ann, ben, cleo):
        await ask(client, "join", {"room": "r"})
    await clients.take(*everybody)
    await ann.emit("typing", "r")
    assert [(await client.expect("typing")).data for client in (ben, cleo)] == ["ann", "ann"]
    await ben.emit("typing", "r")
    assert [(await client.expect("typing")).data for client in (ann, cleo)] == ["ben", "ben"]
    assert await clients.take(*everybody) == [[], [], [], []]


_ANSWER = "the answer to an event of the same client"
_HANDSHAKE = "a handshake is decided by the node that it reaches"

ROWS: Table = {
    "a client sends": {
        "`position` of `join`": across_nodes(clients_join_from_a_position_of_another_node, events=("alarm",)),
        "`join`": across_nodes(clients_of_both_nodes_join_speak_and_leave, events=("user:joined",)),
        "`leave`": across_nodes(clients_of_both_nodes_join_speak_and_leave, events=("user:left",)),
        "`message`": across_nodes(
            clients_of_both_nodes_join_speak_and_leave,
            steps.test_messages_reach_the_room_with_the_sender_or_all_other_clients,
        ),
        "a disconnect": across_nodes(clients_of_both_nodes_join_speak_and_leave, events=("user:left",), nodes=1),
    },
    "the server sends": {
        "`user:joined`": across_nodes(
            steps.test_joining_and_leaving_a_room_notifies_its_other_clients, each_tab_of_a_user_joins_by_itself
        ),
        "`user:left`": across_nodes(
            steps.test_joining_and_leaving_a_room_notifies_its_other_clients, each_tab_of_a_user_joins_by_itself
        ),
        "`message`": across_nodes(the_host_sends_its_own_events_and_those_of_events, nodes=2),
        "`error`": one_connection(_ANSWER),
    },
    "refused": {
        "`无权访问此房间`": one_connection(_ANSWER),
        "`消息过长`": one_connection(_ANSWER),
        "`包含不当内容`": one_connection(_ANSWER),
        "`消息发送过于频繁`": one_connection("docs/systems/events.md: the limit of a user is counted in each process"),
        "`消息格式错误`": one_connection(_ANSWER),
        "`服务器内部错误`": one_connection(_ANSWER),
        "`error`": one_connection(_ANSWER),
    },
    "other rules": {
        "tokens": one_connection(_HANDSHAKE),
        "the query string": one_connection("each node writes its own log"),
        "`broadcast_to_room`": (
            across_nodes(the_host_sends_its_own_events_and_those_of_events, events=("alarm", "maintenance"), nodes=2),
            across_nodes(a_handler_of_the_host_sends_volatile_events_to_the_others, events=("typing",), nodes=2),
        ),
        "a slow host": one_connection("a node waits for its own host"),
        "`CORS_ORIGIN`": one_connection(_HANDSHAKE),
        "`auth/refresh`": one_connection("the token of one connection is replaced"),
    },
}


def test_every_row_is_in_the_table() -> None:
    assert problems("Events", ROWS) == []


@pytest.fixture(scope="module")
async def no_leaked_tasks() -> AsyncIterator[None]:
    """One client stays connected between the steps. At the end of the module no task may be left."""
    async with no_task_left():
        yield


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess) -> AsyncIterator[EventsNodes]:
    folder = tmp_path_factory.mktemp("events")
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(node_process())
        cluster = await stack.enter_async_context(Cluster(folder, redis_process.url, "tests.support.events_app"))
        host, second, third = nodes = await asyncio.gather(*(cluster.start() for _ in range(3)))
        servers = [
            ClientServer(second.url, "node-websocket", node),
            ClientServer(third.url, "python-websocket"),
        ]
        watcher = await servers[0].connect("/events", {"token": create_token("watcher", Settings(jwt_secret=SECRET))})
        await ask(watcher, "join", {"room": WATCHERS})
        yield EventsNodes(host, servers, watcher)
        await watcher.disconnect()
        for each in nodes:
            assert "Traceback" not in each.process.output, each.process.output


@pytest.fixture
async def clients(running: EventsNodes) -> AsyncIterator[EventsNodes]:
    running.begin()
    yield running
    await running.end()


@pytest.mark.parametrize("case", cases("Events", ROWS))
async def test_a_row_holds_across_nodes(case: Case, clients: EventsNodes) -> None:
    await case.run(clients)
