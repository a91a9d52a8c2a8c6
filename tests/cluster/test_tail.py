"""`asgi-realtime tail`, against an app of two processes with stock clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.redis_server import RedisProcess
from tests.support.tailing import following


class App:
    """An app of two processes, with a prefix of its own in Redis."""

    def __init__(self, cluster: Cluster, nodes: list[Node]) -> None:
        self.cluster = cluster
        self.environ = {name: value for name, value in cluster.environ.items() if name.startswith("MEW_REDIS")}
        self.nodes = nodes

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the broadcaster of each process in turn."""
        self.nodes.reverse()
        return await self.nodes[0].call(method, *arguments, **options)


@pytest.fixture(scope="module")
async def app(
    tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess, anyio_backend: object
) -> AsyncIterator[App]:
    async with Cluster(tmp_path_factory.mktemp("app"), redis_process.url) as cluster:
        yield App(cluster, [*await asyncio.gather(cluster.start(), cluster.start())])


async def test_events_are_shown_in_their_order_with_target_and_payload(app: App) -> None:
    arguments = ("--room", "lobby", "--user", "ada", "--user", "bob", "--all", "--gateway", "/", "--json")
    async with following(app.environ, *arguments) as tail:
        await app.call("broadcast_to_room", "lobby", "first", {"n": 1})
        await app.call("broadcast_to_room", "attic", "elsewhere")
        await app.call("broadcast_to_user", "ada", "second", "you")
        await app.call("broadcast_to_users", ["bob", "eve", "ada"], "third", None, except_="c1")
        await app.call("broadcast_to_all", "fourth", volatile=True)
        await app.call("broadcast_to_all", "elsewhere", gateway="/ws")
        await app.call("broadcast_to_room", "lobby", "fifth")
        found = await tail.lines(5)
        await tail.interrupt()
    assert [{key: one[key] for key in one if key not in ("time", "position")} for one in found] == [
        {"gateway": "/", "event": "first", "to": {"rooms": ["lobby"]}, "data": {"n": 1}},
        {"gateway": "/", "event": "second", "to": {"users": ["ada"]}, "data": "you"},
        {"gateway": "/", "event": "third", "to": {"users": ["bob", "eve", "ada"]}, "data": None, "except": ["c1"]},
        {"gateway": "/", "event": "fourth", "to": {"all": True}},
        {"gateway": "/", "event": "fifth", "to": {"rooms": ["lobby"]}},
    ]
    assert [one["position"] is None for one in found] == [False, False, False, True, False]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one["time"]) for one in found)


async def test_what_many_publish_at_once_is_shown_in_the_order_of_the_clients(app: App) -> None:
    client = await app.nodes[0].connect("ada")
    await client.call("join", "busy")
    async with following(app.environ, "--room", "busy", "--gateway", "/", "--json") as tail:
        await asyncio.gather(*(app.call("broadcast_to_room", "busy", "said", number) for number in range(60)))
        shown = [line["data"] for line in await tail.lines(60)]
        await tail.interrupt()
    await app.call("broadcast_to_room", "busy", "end")
    await client.expect("end")
    assert shown == [received.data for received in client.events if received.event == "said"]
    await client.disconnect()


async def test_lines_for_people_name_time_event_target_and_gateway(app: App) -> None:
    async with following(app.environ, "--room", "hall", "--event", "said", "--event", "shown") as tail:
        await app.call("broadcast_to_room", "hall", "unwanted")
        await app.call("broadcast_to_room", "hall", "said", {"text": "a\u202eb\u001b[31m"})
        await app.call("broadcast_to_room", "hall", "shown", "x" * 5_000, gateway="/ws")
        first, second = await tail.line(), await tail.line()
        await tail.interrupt()
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.\d{3}  said  room hall of /  {"text":"a\\u202eb\\u001b\[31m"}\n', first), (
        first
    )
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.\d{3}  shown  room hall of /ws  "x{999}…\n', second), second


async def test_it_is_no_process_of_the_app_and_no_user(app: App) -> None:
    before = await app.call("nodes")
    async with following(app.environ, "--user", "ghost", "--all", "--gateway", "/"):
        during = await app.call("nodes")
        assert (during["complete"], {each["id"] for each in during["value"]}) == (
            True,
            {each["id"] for each in before["value"]},
        )
        assert not await app.call("is_online", "ghost")
        assert (await app.call("connections", "ghost"))["value"] == []


async def test_it_begins_with_what_history_has_since_a_position(app: App) -> None:
    receipt = await app.call("broadcast_to_room", "past", "before")
    for number in range(120):
        await app.call("broadcast_to_room", "past", "missed", number)
    since = ("--room", "past", "--gateway", "/", "--since", receipt["position"], "--json")
    async with following(app.environ, *since) as tail:
        await app.call("broadcast_to_room", "past", "live")
        found = await tail.lines(121)
        await tail.interrupt()
    assert [one.get("data") for one in found[:120]] == list(range(120))
    assert found[120]["event"] == "live"
    assert [one["position"] for one in found] == sorted(one["position"] for one in found)


async def test_it_says_so_if_history_does_not_reach_back(app: App) -> None:
    other = ("--room", "lost", "--gateway", "/", "--since", "another-1795816205123456")
    async with following(app.environ, *other) as tail:
        assert re.fullmatch(
            r"[\d:.]+  missed: perhaps events of /, because the position is not of .*\n", await tail.line()
        )
        await app.call("broadcast_to_room", "lost", "live")
        assert "  live  room lost\n" in await tail.line()
        await tail.interrupt()


async def test_it_says_so_if_redis_has_lost_its_history(app: App, redis_process: RedisProcess) -> None:
    async with following(app.environ, "--room", "flushed", "--gateway", "/", "--json") as tail:
        await app.call("broadcast_to_room", "flushed", "before")
        assert [one["event"] for one in await tail.lines(1)] == ["before"]
        with redis_process.client() as redis:
            redis.delete(*redis.scan_iter(f"{app.cluster.prefix}:*"))
        await app.call("broadcast_to_room", "flushed", "after")
        missed, after = await tail.lines(2)
    assert missed["missed"] == "history in Redis does not reach back"
    assert (missed["gateway"], missed["to"]) == ("/", None)
    assert after["event"] == "after"


async def test_it_continues_after_redis_was_lost(app: App, redis_process: RedisProcess) -> None:
    async with following(app.environ, "--room", "again", "--gateway", "/", "--json") as tail:
        await asyncio.to_thread(redis_process.kill_connections)
        receipt = await app.call("broadcast_to_room", "again", "after")
        [found] = await tail.lines(1)
    assert (found["event"], found["position"]) == ("after", receipt["position"])


async def test_a_reader_that_stops_reading_costs_bounded_memory_and_is_told(app: App) -> None:
    payload = "x" * 400_000
    async with following(app.environ, "--room", "flood", "--gateway", "/", "--json") as tail:
        for _ in range(60):  # 24 MB, of which `tail`, the pipe and its reader hold about 11
            await app.call("broadcast_to_room", "flood", "big", payload)
        await app.call("broadcast_to_room", "flood", "small")
        shown = skipped = 0
        assert tail.process.stdout is not None
        while True:
            line = json.loads(await tail.process.stdout.readuntil(b"\n"))
            shown += "event" in line
            skipped += line.get("skipped") or 0
            if shown + skipped == 61:
                break
    assert skipped > 10
    assert shown > 10


async def test_it_ends_when_its_reader_has_gone(app: App) -> None:
    reader, writer = os.pipe()
    async with following(app.environ, "--room", "quiet", "--gateway", "/", stdout=writer) as tail:
        os.close(writer)
        os.close(reader)
        async with asyncio.timeout(10):
            assert await tail.process.wait() == 0
        assert tail.process.stderr is not None
        assert await tail.process.stderr.read() == b""
