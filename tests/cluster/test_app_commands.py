"""`asgi-realtime nodes`, `users` and `kick`, against an app of two processes with stock clients."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets

from asgi_realtime import Settings, create_token
from tests.support.cluster import SECRET, Cluster, Node
from tests.support.command_line import invoke, on_a_terminal, running_command
from tests.support.node_client import ConnectRefused
from tests.support.redis_server import RedisProcess


class App:
    """An app of two processes."""

    def __init__(self, cluster: Cluster, first: Node, second: Node) -> None:
        self.environ = {name: value for name, value in cluster.environ.items() if name.startswith("MEW_REDIS")}
        self.first = first
        self.second = second

    async def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which exits with this code. Returns its output."""
        found, output, errors = await invoke(self.environ, *arguments)
        assert found == code, errors
        assert "Traceback" not in errors
        return output

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json. Returns what it says."""
        return json.loads(await self.run(*arguments, "--json", code=code))

    async def error(self, *arguments: str, code: int = 1) -> str:
        """Run a command that fails with one line. Returns the line."""
        found, output, errors = await invoke(self.environ, *arguments)
        assert (found, output, errors.count("\n")) == (code, "", 1), errors
        return errors

    async def node_of(self, user_id: str) -> str:
        """The id of the process with a user's only connection."""
        [connection] = (await self.first.call("connections", user_id))["value"]
        return str(connection["node"])


@pytest.fixture(scope="module")
async def app(
    tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess, anyio_backend: object
) -> AsyncIterator[App]:
    async with Cluster(tmp_path_factory.mktemp("app"), redis_process.url) as cluster:
        # A lease that outlasts the time for which a test stops a process.
        nodes = [cluster.start(MEW_NODE_LEASE="60") for _ in range(2)]
        yield App(cluster, *await asyncio.gather(*nodes))


async def test_nodes_shows_the_connections_of_each_process_and_gateway(app: App) -> None:
    ada, bob = await app.first.connect("ada"), await app.second.connect("bob")
    device = await app.second.connect("bob", "/device")
    ids = {await app.node_of("ada"): [2, 1], await app.node_of("bob"): []}
    first, second = ids
    found = await app.json("nodes")
    assert (found["complete"], found["missing"]) == (True, [])
    assert {node["id"]: node["connections"] for node in found["nodes"]} == {
        first: {"/": 1, "/device": 0, "/ws": 0},
        second: {"/": 1, "/device": 1, "/ws": 0},
    }
    heading, *rows = [line.split() for line in (await app.run("nodes")).splitlines()]
    assert heading == ["process", "connections", "/", "/device", "/ws"]
    assert sorted(rows[:2]) == sorted([[first, "1", "1", "0", "0"], [second, "2", "1", "1", "0"]])
    assert rows[2:] == [["together", "3", "2", "1", "0"]]
    for client in (ada, bob, device):
        await client.disconnect()


async def test_a_process_that_does_not_answer_is_named(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await app.second.connect("bob")
    silent = await app.node_of("bob")
    monkeypatch.setitem(app.environ, "MEW_PUBLISH_TIMEOUT", "0.5")
    app.second.process.signal(signal.SIGSTOP)
    try:
        found = await app.json("nodes", code=1)
        assert (found["complete"], found["missing"], len(found["nodes"])) == (False, [silent], 1)
        assert [silent, "does", "not", "answer"] in [
            line.split() for line in (await app.run("nodes", code=1)).splitlines()
        ]
        assert (await app.json("users", "bob", code=1))["missing"] == [silent]
        kicked = await app.json("kick", "bob", "--timeout", "1", code=1)
        assert (kicked["before"], kicked["complete"], kicked["missing"]) == (0, False, [silent])
    finally:
        app.second.process.signal(signal.SIGCONT)
    await client.disconnection()  # the command has waited for the process


async def test_users_lists_who_is_online_in_pages(app: App) -> None:
    names = [f"list-{letter}" for letter in "cab"]
    clients = [await app.first.connect(name) for name in names]
    clients.append(await app.second.connect("list-a", "/device"))
    found = await app.json("users")
    listed = [each for each in found["users"] if each["user"].startswith("list-")]
    assert listed == [
        {"user": "list-a", "gateways": ["/", "/device"]},
        {"user": "list-b", "gateways": ["/"]},
        {"user": "list-c", "gateways": ["/"]},
    ]
    page = await app.json("users", "--after", "list-a", "--limit", "1")
    assert (page["users"], page["next"]) == (listed[1:2], "list-b")
    assert page["total"] >= 3  # users of other tests stay online for a while
    output = await app.run("users", "--gateway", "/device", "--after", "list-")
    assert output.splitlines() == ["user    gateways", "list-a  /device"]
    code, output, errors = await invoke(app.environ, "users", "--after", "list-", "--limit", "2")
    assert [line.split()[0] for line in output.splitlines()] == ["user", "list-a", "list-b"]
    assert re.fullmatch(r"2 of \d+ users; the next ones: --after list-b\n", errors)
    for client in clients:
        await client.disconnect()


async def test_users_shows_the_connections_and_the_process_of_each(app: App) -> None:
    clients = [await app.first.connect("where"), await app.second.connect("where"), await app.first.connect("other")]
    ids = [(await client.call("join", "lobby"))[0] for client in clients]
    first = await app.node_of("other")
    found = await app.json("users", "where", "absent", "where")
    assert (found["complete"], [each["user"] for each in found["users"]]) == (True, ["where", "absent"])
    shown = {each["id"]: (each["gateway"], each["node"] == first) for each in found["users"][0]["connections"]}
    assert shown == {ids[0]: ("/", True), ids[1]: ("/", False)}
    assert found["users"][1]["connections"] == []
    heading, *rows = [line.split() for line in (await app.run("users", "where", "absent")).splitlines()]
    assert heading == ["user", "connection", "gateway", "process"]
    assert ["where", ids[0], "/", first] in rows
    assert rows[-1] == ["absent", "not", "connected"]
    for client in clients:
        await client.disconnect()


async def test_a_kicked_user_is_told_and_the_command_confirms_that_it_is_gone(app: App) -> None:
    kept = await app.first.connect("kept")
    client = await app.second.connect("kicked")
    url = f"{app.first.process.server.websocket_url}/ws?recovery=false&token="
    async with websockets.connect(url + create_token("kicked", Settings(jwt_secret=SECRET))) as socket:
        await socket.recv()
        found = await app.json("kick", "kicked", "--reason", "banned", "--code", "4001")
        assert found == {"before": 2, "left": 0, "revoked": False, "complete": True, "missing": []}
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (4001, "banned")
    await client.disconnection()
    assert await app.error("kick", "kicked") == "Error: the user kicked has no connection\n"
    again = await app.first.connect("kicked")
    other = await app.second.connect("kicked", "/device")
    output = await app.run("kick", "kicked", "--gateway", "/device")
    assert output == "the user kicked: 1 connection before, 0 left\n"
    await other.disconnection()
    await app.first.call("broadcast_to_all", "still")
    for client in (again, kept):
        await client.expect("still")
        await client.disconnect()


async def test_a_kick_can_refuse_the_tokens_of_the_user(app: App) -> None:
    old = create_token("revoked", Settings(jwt_secret=SECRET))
    client = await app.first.connect("revoked", token=old)
    output = await app.run("kick", "revoked", "--revoke")
    assert output == "the user revoked: 1 connection before, 0 left; the tokens are refused\n"
    await client.disconnection()
    with pytest.raises(ConnectRefused):
        await app.second.connect("revoked", token=old)
    assert (await app.json("kick", "revoked", "--revoke"))["before"] == 0


async def test_one_connection_or_a_room_is_disconnected(app: App) -> None:
    clients = [await node.connect(user) for node in (app.first, app.second) for user in ("one", "two")]
    ids = [(await client.call("join", "club"))[0] for client in clients]
    output = await app.run("kick", "--connection", ids[2])
    assert output == f"the connection {ids[2]}: 1 connection before, 0 left\n"
    await clients[2].disconnection()
    assert "has no connection" in await app.error("kick", "--connection", ids[2])
    await clients[3].call("leave", "club")
    device = await app.first.connect("one", "/device")
    output = await app.run("kick", "--room", "club")
    assert output == "the room club: 2 connections before, 0 left\n"
    for client in clients[:2]:
        await client.disconnection()
    assert "the room club has no connection" in await app.error("kick", "--room", "club")
    await app.first.call("add_user_to_room", "one", "club", gateway="/device")
    await clients[3].call("join", "club")
    assert "/ and /device have a room club: choose one" in await app.error("kick", "--room", "club")
    assert (await app.json("kick", "--room", "club", "--gateway", "/device"))["before"] == 1
    await device.disconnection()
    await clients[3].disconnect()


@pytest.mark.parametrize(("typed", "arguments"), [("n\n", ()), ("y\n", ()), ("", ("--yes",))])
async def test_a_terminal_is_asked_first(app: App, typed: str, arguments: tuple[str, ...]) -> None:
    client = await app.first.connect("asked")
    output = await asyncio.to_thread(on_a_terminal, app.environ, "kick", "asked", *arguments, typed=typed)
    assert ("Disconnect the user asked (1 connection)? [y/N]" in output) == (typed != "")
    if typed == "n\n":
        assert "Aborted!" in output
        await app.first.call("broadcast_to_user", "asked", "still")
        await client.expect("still")
        await client.disconnect()
    else:
        assert "1 connection before, 0 left" in output
        await client.disconnection()


@pytest.mark.parametrize(
    "arguments",
    [("users", "--gateway", "/x"), ("kick", "ann", "--gateway", "/x"), ("tail", "--all", "--gateway", "/x")],
)
async def test_a_gateway_that_no_process_has_is_refused_with_those_there_are(
    app: App, arguments: tuple[str, ...]
) -> None:
    assert await app.error(*arguments) == "Error: no process has a gateway /x; there are: /, /device, /ws\n"


@pytest.mark.parametrize("arguments", [("nodes",), ("users",), ("kick", "ann"), ("tail", "--all")])
async def test_without_redis_or_without_an_app_the_error_says_what_to_do(app: App, arguments: tuple[str, ...]) -> None:
    code, output, errors = await invoke({}, *arguments)
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert "set MEW_REDIS_URL" in errors
    unreachable = {"MEW_REDIS_URL": "redis://127.0.0.1:1", "MEW_PUBLISH_TIMEOUT": "0.3"}
    code, output, errors = await invoke(unreachable, *arguments)
    assert (code, output, errors.count("\n")) == (75, "", 1)
    assert "127.0.0.1:1" in errors
    code, output, errors = await invoke(app.environ | {"MEW_REDIS_PREFIX": "nothing-here"}, *arguments)
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert "no process of the app answers" in errors


async def test_nodes_can_be_watched_until_ctrl_c(app: App) -> None:
    async with running_command(app.environ, "nodes", "--watch", "--json") as process:
        assert process.stdout is not None
        answers = [json.loads(await process.stdout.readline()) for _ in range(2)]
        assert [len(answer["nodes"]) for answer in answers] == [2, 2]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
