"""Publications of python-socketio's write-only `RedisManager` in another process reach our clients."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import socketio as python_socketio
from redis.asyncio.connection import AbstractConnection

from asgi_realtime import ConfigurationError, socketio
from asgi_realtime.values.json import Json
from tests.support.cluster import Cluster
from tests.support.node_client import PATIENCE
from tests.support.python_client import PythonClient
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve
from tests.support.waiting import until

EMITTER = """
import json, socketio, sys
url, channel = sys.argv[1:3]
manager = socketio.RedisManager(url, channel=channel, write_only=True)
for line in sys.stdin:
    method, arguments, options = json.loads(line)
    if options.pop("binary", False):
        arguments[1] = {"file": arguments[1].encode(), "n": [b"1"]}
    if options.pop("tuple", False):
        arguments[1] = tuple(arguments[1])
    if method == "disconnect":  # it fails without a server
        manager.set_server(socketio.Server())
    getattr(manager, method)(*arguments, **options)
    print("done", flush=True)
"""


class Emitter:
    """The manager in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, method: str, *arguments: Json, **options: Json) -> None:
        """Call a method of the manager there."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, arguments, options]).encode() + b"\n")
        assert await self._process.stdout.readline() == b"done\n"


@pytest.fixture(autouse=True)
def long_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose stop waits for its manager does not stop in time."""
    monkeypatch.setenv("MEW_DRAIN_TIMEOUT", "3600")


@pytest.fixture
def channel() -> str:
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
async def emitter(redis_process: RedisProcess, channel: str) -> AsyncIterator[Emitter]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EMITTER, redis_process.url, channel),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Emitter(process)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


def listens(redis_process: RedisProcess, channel: str, servers: int = 1) -> bool:
    """Whether this many servers have subscribed."""
    with redis_process.client() as redis:
        [(_, number)] = redis.pubsub_numsub(channel)
    return bool(number == servers)


async def start(serve: Serve, redis_process: RedisProcess, channel: str, servers: int = 1) -> list[str]:
    """Start servers that receive publications. Returns their URLs."""
    urls = []
    for _ in range(servers):
        sio = socketio.AsyncServer(
            namespaces=["/", "/other"],
            client_manager=python_socketio.AsyncRedisManager(redis_process.url, channel=channel),
        )

        @sio.event
        async def join(sid: str, room: str, sio: socketio.AsyncServer = sio) -> str:
            await sio.enter_room(sid, room)
            return sid

        urls.append((await serve(socketio.ASGIApp(sio))).url)
    await until(lambda: listens(redis_process, channel, servers))
    return urls


async def test_what_another_process_emits_reaches_the_clients_of_every_server(
    serve: Serve, redis_process: RedisProcess, channel: str, emitter: Emitter
) -> None:
    urls = await start(serve, redis_process, channel, servers=2)
    ada, bob, other = PythonClient(), PythonClient(), PythonClient()
    await ada.connect(urls[0])
    await bob.connect(urls[1])
    await other.connect(urls[1], "/other")
    sids = [(await client.call("join", room))[0] for client, room in ((ada, "red"), (bob, "blue"))]
    await ada.call("join", "lobby")
    await bob.call("join", "lobby")

    await emitter.call("emit", "all", {"n": 1})
    await emitter.call("emit", "red", "ä", room="red")
    await emitter.call("emit", "both", None, room=["red", "blue", "lobby"])
    await emitter.call("emit", "others", [1, 2], room="lobby", skip_sid=sids[0])
    await emitter.call("emit", "one", "x", to=sids[0])
    await emitter.call("emit", "binary", "content", binary=True)
    await emitter.call("emit", "several", [1, None, "b"], tuple=True)
    await emitter.call("emit", "elsewhere", 5, namespace="/other")
    await emitter.call("emit", "end", False)

    for client in (ada, bob):
        await client.expect("end")
    assert (await other.expect("elsewhere")).args == [5]
    content: Json = {"file": b"content", "n": [b"1"]}
    common = [("binary", [content]), ("several", [1, None, "b"]), ("end", [False])]
    assert [(each.event, each.args) for each in ada.events] == [
        ("all", [{"n": 1}]),
        ("red", ["ä"]),
        ("both", []),
        ("one", ["x"]),
        *common,
    ]
    assert [(each.event, each.args) for each in bob.events] == [
        ("all", [{"n": 1}]),
        ("both", []),
        ("others", [[1, 2]]),
        *common,
    ]
    assert len(other.events) == 1
    for client in (ada, bob, other):
        await client.disconnect()


async def test_rooms_and_clients_are_changed_from_another_process(
    serve: Serve, redis_process: RedisProcess, channel: str, emitter: Emitter
) -> None:
    [url] = await start(serve, redis_process, channel)
    ada, bob = PythonClient(), PythonClient()
    await ada.connect(url)
    await bob.connect(url)
    sids = [(await client.call("join", "lobby"))[0] for client in (ada, bob)]
    await emitter.call("enter_room", sids[0], "/", "attic")
    await emitter.call("emit", "in attic", 1, room="attic")
    await emitter.call("leave_room", sids[0], "/", "attic")
    await emitter.call("emit", "after leaving", 1, room="attic")
    await emitter.call(
        "enter_room", sids[0], "/", sids[1]
    )  # refused, because it would receive events for the other client
    await emitter.call("emit", "to bob", 1, to=sids[1])
    await emitter.call("close_room", "lobby")
    await emitter.call("emit", "after closing", 1, room="lobby")
    await emitter.call("emit", "end", 1)
    for client in (ada, bob):
        await client.expect("end")
    assert [each.event for each in ada.events] == ["in attic", "end"]
    assert [each.event for each in bob.events] == ["to bob", "end"]
    await emitter.call("disconnect", sids[0], "/")
    await ada.disconnection()
    await emitter.call("emit", "still", 1)
    await bob.expect("still")
    await bob.disconnect()


async def test_a_python_socketio_server_beside_ours_gets_the_acknowledgements_of_our_clients(
    serve: Serve, redis_process: RedisProcess, tmp_path: Path
) -> None:
    async with Cluster(tmp_path, redis_process.url, "tests.support.socketio_app") as cluster:
        their_server = await cluster.start(SOCKETIO="python-socketio")
        [url] = await start(serve, redis_process, cluster.prefix)
        eve, ada = await their_server.connect("eve"), PythonClient()  # it begins to listen with its first client
        await until(lambda: listens(redis_process, cluster.prefix, 2))
        await ada.connect(url)
        [sid] = await ada.call("join", "lobby")
        ada.answer = ("a", 1, {"b": None})
        assert await their_server.call("call", "ask", {"n": 1}, to=sid) == {"result": ["a", 1, {"b": None}]}
        await their_server.call("emit", "ask", None, room="lobby", callback=True)
        async with asyncio.timeout(PATIENCE):
            while (found := (await their_server.call("answers"))["result"]) == []:
                pass
        assert found == [["a", "1", "{'b': None}"]]
        assert [(each.event, each.args) for each in ada.events] == [("ask", [{"n": 1}]), ("ask", [])]
        for client in (ada, eve):
            await client.disconnect()


async def test_bad_messages_are_refused_with_one_line_and_never_unpickled(
    serve: Serve, redis_process: RedisProcess, channel: str, emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    [url] = await start(serve, redis_process, channel)
    ada = PythonClient()
    await ada.connect(url)
    caplog.set_level(logging.WARNING, "asgi_realtime")
    good = {"method": "emit", "event": "x", "data": [1], "namespace": "/"}
    with redis_process.client() as redis:
        for _ in range(3):
            redis.publish(channel, pickle.dumps(good))
            redis.publish(channel, b"{")
            redis.publish(channel, b"[" * 100_000)
            for wrong in (
                {"event": "disconnect"},
                {"event": 5},
                {"room": {"a": 1}},
                {"binary": True, "data": [{"_placeholder": True, "num": 7}]},
                {"binary": True, "data": [1, "no base64!"]},
                {"data": ["x" * 5_000_000]},
                {"method": "emit", "namespace": "/none"},
                {"method": "callback"},
                {"callback": 5, "host_id": "x"},
                {"callback": ["room"], "host_id": "x"},
                {"callback": ["room", "/", 1], "host_id": 5},
            ):
                redis.publish(channel, json.dumps(good | wrong))
    await emitter.call("emit", "end", 1)
    await ada.expect("end")
    assert [each.event for each in ada.events] == ["end"]
    lines = [record.getMessage() for record in caplog.records if channel in record.getMessage()]
    assert len(lines) == len(set(lines)) <= 8
    assert any("5.14" in line for line in lines)
    assert not any(record.exc_info for record in caplog.records)
    await ada.disconnect()


async def test_connections_that_are_lost_again_and_again_are_replaced_with_one_line_in_the_log(
    serve: Serve, redis_process: RedisProcess, channel: str, emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    [url] = await start(serve, redis_process, channel)
    ada = PythonClient()
    await ada.connect(url)
    for _ in range(3):
        await asyncio.to_thread(redis_process.kill_connections)
        await until(lambda: [record for record in caplog.records if channel in record.getMessage()])
        await until(lambda: listens(redis_process, channel))
    await emitter.call("emit", "back", 1)
    await ada.expect("back")
    assert len([record for record in caplog.records if channel in record.getMessage()]) == 1
    await ada.disconnect()


async def test_a_connection_that_fails_by_an_error_of_the_host_is_made_again(
    serve: Serve, redis_process: RedisProcess, channel: str, emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [LookupError("no login yet"), LookupError("no login yet")]

    async def log_in(connection: AbstractConnection) -> None:
        if failures:
            raise failures.pop()
        await connection.on_connect()

    manager = python_socketio.AsyncRedisManager(
        redis_process.url, channel=channel, redis_options={"redis_connect_func": log_in}
    )
    server = await serve(socketio.ASGIApp(socketio.AsyncServer(client_manager=manager)))
    ada = PythonClient()
    await ada.connect(server.url)
    await until(lambda: listens(redis_process, channel))
    await emitter.call("emit", "news", 1)
    await ada.expect("news")
    lines = [record.getMessage() for record in caplog.records if channel in record.getMessage()]
    assert lines == [f"channel {channel} of python-socketio: a connection failed; connecting again"]
    await ada.disconnect()


@pytest.mark.parametrize(
    "manager",
    [
        object(),
        python_socketio.AsyncManager(),
        python_socketio.AsyncRedisManager("redis://localhost", write_only=True),
    ],
)
def test_a_manager_that_cannot_be_heard_is_refused(manager: object) -> None:
    with pytest.raises(ConfigurationError, match="client_manager"):
        socketio.AsyncServer(client_manager=manager)
