"""Two processes of python-socketio with its manager for Redis, and two of this package: their clients see the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.node_client import PATIENCE
from tests.support.python_client import PythonClient
from tests.support.redis_server import RedisProcess

CLIENTS: Final = {"ada": 0, "bob": 1, "eve": 1, "dan": 0}
"""The node of each client."""
ROOMS: Final = {"ada": ["red", "blue", "watchers"], "bob": ["red", "blue"], "eve": ["blue"], "dan": []}

# The node that is called, the method, its arguments and its options. Names of clients stand for their ids.
STEPS: Final[list[tuple[int, str, list[Any], dict[str, Any]]]] = [
    (0, "emit", ["all", {"n": [1, None, "é"]}], {}),
    (1, "emit", ["no data"], {}),
    (0, "emit", ["text", "x"], {"room": "red"}),
    (1, "emit", ["text", "x"], {"to": "blue"}),
    (0, "emit", ["both", 1], {"room": ["red", "blue"]}),
    (1, "emit", ["both", 1], {"to": ["blue", "red", "nowhere"]}),
    (0, "emit", ["nowhere", 1], {"room": "nowhere"}),
    (0, "emit", ["one", 1], {"to": "bob"}),
    (1, "emit", ["one", 1], {"to": "bob"}),
    (0, "emit", ["two", 1], {"to": ["bob", "ada", "red"]}),
    (0, "emit", ["without bob", 1], {"room": "blue", "skip_sid": "bob"}),
    (1, "emit", ["without two", 1], {"skip_sid": ["bob", "dan"]}),
    (1, "send", ["a message"], {"room": "red"}),
    (0, "emit", ["here", 1], {"ignore_queue": True}),
    (0, "enter_room", ["bob", "attic"], {}),
    (0, "emit", ["attic", 1], {"room": "attic"}),
    (1, "rooms", ["bob"], {}),
    (0, "rooms", ["bob"], {}),
    (0, "leave_room", ["bob", "attic"], {}),
    (1, "leave_room", ["bob", "nowhere"], {}),
    (0, "emit", ["attic", 2], {"room": "attic"}),
    (0, "close_room", ["red"], {}),
    (1, "emit", ["closed", 1], {"room": "red"}),
    (0, "call", ["ask", {"a": 1}], {"to": "bob"}),
    (1, "call", ["ask", {"a": 1}], {"to": "bob"}),
    (0, "call", ["ask", "x"], {"sid": "eve", "timeout": 5}),
    (0, "emit", ["ask", 1], {"to": "eve", "callback": True}),
    (0, "emit", ["ask", 1], {"to": "ada", "callback": True}),
    (0, "get_environ", ["bob"], {}),
    (0, "disconnect", ["eve"], {"ignore_queue": True}),
    (0, "emit", ["still", 1], {}),
    (0, "disconnect", ["eve"], {}),
    (1, "disconnect", ["bob"], {}),
    (0, "emit", ["after", 1], {"to": ["bob", "eve", "ada"]}),
]
# These raise the same error. This package's message also says what to do.
ERRORS: Final[list[tuple[int, str, list[Any], dict[str, Any]]]] = [
    (0, "get_session", ["bob"], {}),
    (0, "save_session", ["bob", {"a": 1}], {}),
    (0, "transport", ["bob"], {}),
    (1, "get_session", ["unknown"], {}),
    (0, "call", ["ask", 1], {"to": "unknown", "timeout": 0.1}),
]


class Run:
    """The steps on one package. `seen` has the result of each step and what each client received in it."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._clients: dict[str, PythonClient] = {}
        self._sids: dict[str, str] = {}
        self.seen: list[Any] = []

    async def connect(self) -> None:
        """Connect the clients, and put them into their rooms."""
        for name, number in CLIENTS.items():
            client = self._clients[name] = await self._nodes[number].connect(name)
            for room in [*ROOMS[name], "everybody"]:
                [self._sids[name]] = await client.call("join", room)
            client.answer = (name, None, [1, "é"]) if name == "bob" else name

    async def step(self, node: int, method: str, arguments: list[Any], options: dict[str, Any]) -> Any:
        """Call a method of a node's server, and wait until the clients have received what it sent."""
        before = {name: len(client.events) for name, client in self._clients.items()}
        answer = await self._nodes[node].call(method, *self._with_sids(arguments), **self._with_sids(options))
        if options.get("callback"):
            answer["callback"] = await self._callback(node)
        disconnected = method == "disconnect" and not options.get("ignore_queue")
        if disconnected:
            name = arguments[0]
            answer["reason"] = await self._clients.pop(name).disconnection()
            await self._clients["ada"].expect("left")
        await self._nodes[node].call("emit", "marker", to="everybody")
        for client in self._clients.values():
            await client.expect("marker")
        received = {
            name: [(each.event, each.args) for each in client.events[before[name] :] if each.event != "marker"]
            for name, client in self._clients.items()
        }
        return self._with_names([answer, received])

    async def _callback(self, node: int) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (found := (await self._nodes[node].call("answers"))["result"]):
                pass
        await self._nodes[node].call("forget answers")
        return found

    def _with_sids(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._sids.get(value, value)
        if isinstance(value, list):
            return [self._with_sids(each) for each in value]
        if isinstance(value, dict):
            return {key: self._with_sids(each) for key, each in value.items()}
        return value

    def _with_names(self, value: Any) -> Any:
        text = json.dumps(value)
        for name, sid in self._sids.items():
            text = text.replace(sid, name)
        return json.loads(text)

    async def end(self) -> None:
        """Disconnect the clients."""
        for client in self._clients.values():
            await client.disconnect()


async def run(folder: Path, redis_url: str, package: str) -> tuple[list[Any], list[Any]]:
    """What the steps give on a package, and the types of the errors."""
    async with Cluster(folder, redis_url, "tests.support.socketio_app") as cluster:
        nodes = [await cluster.start(SOCKETIO=package) for _ in range(2)]
        running = Run(nodes)
        await running.connect()
        errors = [(await running.step(*step))[0].get("error") for step in ERRORS]
        seen = []
        for step in STEPS:
            [answer, received] = await running.step(*step)
            if step[1] == "rooms":
                answer["result"].sort()
            seen.append((step, answer, received))
        await running.end()
    return seen, errors


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder for each package."""
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    return tmp_path / "theirs", tmp_path / "ours"


async def test_clients_of_two_processes_receive_the_same_as_from_python_socketio(
    folders: tuple[Path, Path], redis_process: RedisProcess
) -> None:
    (theirs, their_errors), (ours, errors) = await asyncio.gather(
        run(folders[0], redis_process.url, "python-socketio"),
        run(folders[1], redis_process.url, "asgi_realtime"),
    )
    assert errors == their_errors
    assert None not in errors
    for expected, actual in zip(theirs, ours, strict=True):
        assert actual == expected
