"""The console in an app of two processes and a real Redis: what it shows and does on the other process."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.command_line import invoke
from tests.support.console_app import CONSOLE_SECRET
from tests.support.console_client import ConsoleClient, console_client, cookie, open_socket
from tests.support.python_client import PythonClient
from tests.support.redis_server import RedisProcess
from tests.support.tailing import following


@dataclasses.dataclass
class Setting:
    """Two nodes, and a page of the first one."""

    first: Node
    second: Node
    console: ConsoleClient
    cluster: Cluster


@pytest.fixture(scope="module")
async def setting(
    tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess, anyio_backend: object
) -> AsyncIterator[Setting]:
    folder: Path = tmp_path_factory.mktemp("console")
    async with Cluster(folder, redis_process.url, "tests.support.console_app") as cluster:
        environ = {"MEW_CONSOLE_SECRET": CONSOLE_SECRET}
        first, second = await cluster.start(**environ), await cluster.start(**environ)
        async with console_client(first.url) as console:
            yield Setting(first, second, console, cluster)


async def joined(node: Node, user_id: str, *rooms: str) -> tuple[PythonClient, str]:
    """A stock client in rooms, and its id."""
    client = await node.connect(user_id)
    [id] = [(await client.call("join", room))[0] for room in rooms][:1]
    return client, str(id)


async def all_pages(console: ConsoleClient, event: str, cursor: Any, **asked: Any) -> list[Any]:
    rows: list[Any] = []
    after: dict[str, Any] = {}
    while True:
        found = await console.ask(event, gateway="/", **asked, **after)
        assert found["complete"]
        rows += found["rows"]
        if not found["more"]:
            return rows
        after = {"after": cursor(rows[-1])}


async def test_lists_cover_both_processes(setting: Setting) -> None:
    clients = [
        await joined(node, f"user {number:03}", "all", f"room {number:03}")
        for number in range(60)
        for node in (setting.first, setting.second)
    ]
    rows = await all_pages(setting.console, "connections", lambda row: [row["userId"], row["id"]])
    assert len(rows) == 120
    assert [(row["userId"], row["id"]) for row in rows] == sorted((row["userId"], row["id"]) for row in rows)
    assert len({row["node"] for row in rows}) == 2
    members = await all_pages(setting.console, "connections", lambda row: [row["userId"], row["id"]], room="all")
    assert members == rows
    rooms = await all_pages(setting.console, "rooms", lambda row: row["name"])
    assert [(row["name"], row["members"]) for row in rooms] == [
        ("all", 120),
        *[(f"room {number:03}", 2) for number in range(60)],
    ]
    nodes = (await setting.console.ask("nodes"))["nodes"]
    assert sorted(node["gateways"]["/"] for node in nodes) == [[60, 61, 60]] * 2
    assert [node["gateways"]["/realtime-console"][0] for node in nodes if node["asked"]] == [1]
    for client, _ in clients:
        await client.disconnect()


async def test_a_client_of_the_other_process_is_found_moved_sent_to_and_kicked(setting: Setting) -> None:
    console = setting.console
    client, id = await joined(setting.second, "ann", "tea")
    found = await console.ask("connection", gateway="/", id=id)
    other = [node["id"] for node in (await console.ask("nodes"))["nodes"] if not node["asked"]]
    assert [found["node"]] == other and found["details"]["rooms"] == ["tea"]
    await console.ask("move", gateway="/", userId="ann", room="cake", enter=True)
    await console.ask("publish", gateway="/", to="room", name="cake", event="said", data=1)
    assert (await client.expect("said")).data == 1
    [event] = (await console.ask("history", gateway="/", to="room", name="cake"))["events"]
    assert (event["event"], event["payload"]) == ("said", "1")
    assert (await console.ask("user", gateway="/", userId="ann"))["connections"] == [[id, *other]]
    await console.ask("kick", gateway="/", id=id)
    await client.disconnection()
    assert (await console.ask("connection", gateway="/", id=id))["details"] is None


async def test_commands_reach_both_processes_through_the_console_of_one(setting: Setting) -> None:
    environ = {"ASGI_REALTIME_CONSOLE": setting.first.url, "MEW_CONSOLE_SECRET": CONSOLE_SECRET}
    client, id = await joined(setting.second, "cam", "dock")
    code, output, errors = await invoke(environ, "nodes", "--json")
    assert (code, len(json.loads(output)["nodes"]), errors) == (0, 2, "")
    async with following(environ, "--room", "dock", "--gateway", "/", "--json") as tail:
        with_redis = {name: text for name, text in setting.cluster.environ.items() if name.startswith("MEW_REDIS")}
        assert (await invoke(with_redis, "emit", "--room", "dock", "/", "said", "1"))[0] == 0
        [found] = await tail.lines(1)
        await tail.interrupt()
    assert (found["event"], found["data"]) == ("said", 1)
    assert re.fullmatch(r"20\d\d-.*Z", found["time"])
    assert (await invoke(environ, "kick", "--connection", id))[:2] == (
        0,
        f"the connection {id}: 1 connection before, 0 left\n",
    )
    await client.disconnection()


async def test_a_login_is_valid_on_every_process(setting: Setting) -> None:
    async with open_socket(setting.second.url, await cookie(setting.first.url)) as socket:
        assert '"auth_success"' in str(await socket.recv())


async def test_a_process_that_does_not_answer_is_missing_and_the_page_says_so(setting: Setting) -> None:
    second = [node["id"] for node in (await setting.console.ask("nodes"))["nodes"] if not node["asked"]]
    setting.second.process.signal(signal.SIGSTOP)
    try:
        found = await setting.console.ask("nodes")
        assert (len(found["nodes"]), found["complete"], found["missing"]) == (1, False, second)
        assert not (await setting.console.ask("rooms", gateway="/"))["complete"]
    finally:
        setting.second.process.signal(signal.SIGCONT)
