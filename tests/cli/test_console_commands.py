"""The commands for a running app through its console: a process of uvicorn without Redis, with stock clients."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from asgi_realtime import RealtimeConsole, RealtimeMiddleware, SocketIOGateway, create_token
from asgi_realtime.cli import console_connection, console_login
from asgi_realtime.console import cluster_view, payloads
from asgi_realtime.console.login_throttle import OF_ADDRESS, Allowance
from tests.support.command_line import invoke, running_command
from tests.support.console_app import CONSOLE_SECRET, JWT_SECRET, SETTINGS, create_app
from tests.support.console_client import PATH
from tests.support.faulty_proxy import faulty_proxy
from tests.support.node_client import ConnectRefused
from tests.support.python_client import PythonClient
from tests.support.redis_server import free_port
from tests.support.servers import Serve
from tests.support.tailing import following
from tests.support.target_process import target_process


@dataclasses.dataclass(frozen=True)
class App:
    """A process of an app with a console."""

    url: str

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a command."""
        return {"ASGI_REALTIME_CONSOLE": self.url, "MEW_CONSOLE_SECRET": CONSOLE_SECRET}

    async def connect(self, user_id: str, *rooms: str, token: str | None = None) -> tuple[PythonClient, str]:
        """A stock client in rooms, and its id."""
        client = PythonClient()
        auth = {"token": token or create_token(user_id, SETTINGS)}
        await client.connect(self.url, auth=auth, transports=["websocket"])
        ids = [(await client.call("join", room))[0] for room in ("first", *rooms)]
        return client, str(ids[0])

    async def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which exits with this code. Returns its output."""
        found, output, errors = await invoke(self.environ, *arguments)
        assert (found, "Traceback" in errors) == (code, False), errors
        return output

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json. Returns what it says."""
        return json.loads(await self.run(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop for the tests of this file, which share the process."""
    return "asyncio", {"debug": True}


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory, anyio_backend: object) -> AsyncIterator[App]:
    environ = {"MEW_DEV": "false", "MEW_JWT_SECRET": JWT_SECRET, "MEW_CONSOLE_SECRET": CONSOLE_SECRET}
    environ |= {"MEW_PRESENCE_GRACE": "0.1"}
    folder = tmp_path_factory.mktemp("app")
    async with target_process(folder, module="tests.support.console_app", environ=environ) as process:
        yield App(process.server.url)


async def test_nodes_and_users_are_those_of_the_process(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MOST_ROWS", 2)  # several pages of users
    clients = [await app.connect(f"list-{letter}") for letter in "caab"]
    found = await app.json("nodes")
    assert (found["complete"], found["missing"]) == (True, [])
    [node] = found["nodes"]
    assert node["connections"] == {"/": 4, PATH: 1}  # one is the command itself
    heading, row = [line.split() for line in (await app.run("nodes")).splitlines()]
    assert (heading, row) == (["process", "connections", "/", PATH], [node["id"], "5", "4", "1"])

    listed = await app.json("users", "--gateway", "/", "--after", "list")
    assert listed["users"] == [{"user": f"list-{letter}", "gateways": ["/"]} for letter in "abc"]
    shown = await app.json("users", "list-a", "absent", "--gateway", "/")
    first, second = clients[1:3]
    assert sorted(shown["users"][0]["connections"], key=lambda each: each["id"]) == [
        {"id": id, "gateway": "/", "node": node["id"]} for id in sorted([first[1], second[1]])
    ]
    assert (shown["complete"], shown["users"][1]["connections"]) == (True, [])
    for client, _ in clients:
        await client.disconnect()


async def test_events_reach_room_users_and_all(app: App) -> None:
    ada, bob = (await app.connect("ada", "lobby"))[0], (await app.connect("bob"))[0]
    for arguments in (
        ["--room", "lobby", "/", "news", '{"n": 1}'],
        ["--user", "ada", "--user", "bob", "/", "personal", '"you"', "--key", "k"],
        ["--user", "ada", "--user", "bob", "/", "personal", '"you"', "--key", "k"],
        ["--user", "ada", "/", "empty"],
        ["--all", "/", "end", "null"],
    ):
        receipt = await app.json("emit", *arguments)
        assert (receipt["replicated"], receipt["position"] is None) == (False, False)
    assert await app.run("emit", "--all", "--volatile", "/", "last") == "sent\n"
    for client in (ada, bob):
        await client.expect("last")
    assert [(each.event, each.args) for each in ada.events] == [
        ("news", [{"n": 1}]),
        ("personal", ["you"]),
        ("empty", []),
        ("end", [None]),
        ("last", []),
    ]
    assert [each.event for each in bob.events] == ["personal", "end", "last"]
    for client in (ada, bob):
        await client.disconnect()


async def test_clients_are_disconnected_by_user_connection_and_room(app: App) -> None:
    clients = [await app.connect(user, "club") for user in ("one", "two", "three", "four")]
    (one, _), (two, two_id), (three, _), (four, _) = clients
    assert await app.json("kick", "one", "--code", "4001", "--reason", "out") == {
        "before": 1,
        "left": 0,
        "revoked": False,
        "complete": True,
        "missing": [],
    }
    await one.disconnection()
    output = await app.run("kick", "--connection", two_id)
    assert output == f"the connection {two_id}: 1 connection before, 0 left\n"
    assert await two.disconnection() == "server disconnect"
    assert await app.run("kick", "--room", "club") == "the room club: 2 connections before, 0 left\n"
    for client in (three, four):
        assert await client.disconnection() == "server disconnect"
    code, output, errors = await invoke(app.environ, "kick", "one")
    assert (code, output, errors) == (1, "", "Error: the user one has no connection\n")

    token = create_token("five", SETTINGS)
    five, _ = await app.connect("five", token=token)
    assert (await app.json("kick", "five", "--revoke"))["revoked"] is True
    await five.disconnection()
    with pytest.raises(ConnectRefused):
        await app.connect("five", token=token)


async def test_tail_shows_events_of_history_and_those_that_come(app: App) -> None:
    since = (await app.json("emit", "--room", "hall", "/", "before"))["position"]
    for number in range(3):
        await app.run("emit", "--room", "hall", "/", "missed", str(number))
    arguments = ("--room", "hall", "--user", "ada", "--user", "bob", "--gateway", "/", "--json", "--since", since)
    async with following(app.environ, *arguments) as tail:
        await app.run("emit", "--user", "ada", "--user", "bob", "--user", "eve", "/", "personal", '{"a": "ä"}')
        await app.run("emit", "--room", "attic", "/", "elsewhere")
        await app.run("emit", "--room", "hall", "/", "live")
        found = await tail.lines(5)
        await tail.interrupt()
    assert [{key: one[key] for key in one if key not in ("time", "position")} for one in found] == [
        *({"gateway": "/", "event": "missed", "to": {"rooms": ["hall"]}, "data": number} for number in range(3)),
        {"gateway": "/", "event": "personal", "to": {"users": ["ada", "bob", "eve"]}, "data": {"a": "ä"}},
        {"gateway": "/", "event": "live", "to": {"rooms": ["hall"]}},
    ]
    assert len({one["position"] for one in found}) == 5
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", one["time"]) for one in found)


async def test_tail_says_that_history_does_not_reach_back(app: App) -> None:
    async with following(app.environ, "--all", "--gateway", "/", "--since", "another-1") as tail:
        line = await tail.line()
        assert re.fullmatch(
            r"[\d:.]+  missed: perhaps events of /, because the position is not of this history\n", line
        )


async def test_tail_continues_after_the_console_was_lost(app: App) -> None:
    async with faulty_proxy([app.url], 1) as proxy:
        environ = app.environ | {"ASGI_REALTIME_CONSOLE": proxy.url}
        async with following(environ, "--room", "again", "--gateway", "/", "--json") as tail:
            proxy.drop(1.0)
            assert tail.process.stderr is not None
            async with asyncio.timeout(10):
                lost, back = [(await tail.process.stderr.readline()).decode() for _ in range(2)]
            assert "is lost" in lost and "trying again" in lost
            assert back == f"the console at {proxy.url}{PATH} answers again\n"
            await app.run("emit", "--room", "again", "/", "after")
            assert [one["event"] for one in await tail.lines(1)] == ["after"]
            await tail.interrupt()


async def test_tail_gets_what_does_not_fit_into_one_answer_in_several(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_view, "TAIL_EVENTS", 2)
    monkeypatch.setattr(cluster_view, "TAIL_EVENT_BYTES", 100)
    app = App((await serve(create_app(SETTINGS))).url)
    since = (await app.json("emit", "--all", "/", "before"))["position"]
    for number in range(5):
        await app.run("emit", "--all", "/", "said", str(number))
    await app.run("emit", "--all", "/", "large", json.dumps("x" * 200))
    async with following(app.environ, "--all", "--gateway", "/", "--since", since, "--json") as tail:
        found = await tail.lines(6)
        await app.run("emit", "--all", "/", "large", json.dumps("x" * 200))
        found += await tail.lines(1)
    assert [one.get("data") for one in found] == [*range(5), None, None]
    assert [one.get("skipped") for one in found[5:]] == [1, 1]
    assert "too large" in found[5]["missed"]


async def test_questions_are_asked_no_faster_than_the_console_allows(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"user-{number}" for number in range(60)]
    # Two gateways, so each name is two questions.
    assert (await app.json("users", *names[:45]))["complete"]
    monkeypatch.setattr(console_connection, "PACE", Allowance(burst=1_000, interval=0.0))
    code, _, errors = await invoke(app.environ, "users", *names)
    assert (code, "too many" in errors or "is lost" in errors) in ((1, True), (75, True))


async def test_what_the_app_refuses_is_one_sentence(app: App) -> None:
    for arguments, message in (
        (["emit", "--all", "/", "disconnect"], "disconnect"),
        (["emit", "--all", "/nowhere", "news"], "there is no such gateway"),
        (["emit", "--room", "", "/", "news"], "a name must not be empty"),
        (["emit", "--all", "/", "news", json.dumps("x" * 300_000)], "too large"),
        (["users", "--gateway", "/x"], "no process has a gateway /x; there are: /, /realtime-console"),
        (["kick", "--room", "x", "--gateway", "/"], "the room x has no connection"),
    ):
        code, output, errors = await invoke(app.environ, *arguments)
        assert (code, output, errors.count("\n")) == (1, "", 1), errors
        assert message in errors


@pytest.mark.parametrize(
    "command", [("nodes",), ("users",), ("kick", "ann"), ("tail", "--all"), ("emit", "--all", "/", "x")]
)
async def test_a_wrong_secret_is_refused_and_the_right_one_too_after_many(
    serve: Serve, command: tuple[str, ...]
) -> None:
    url = (await serve(create_app(SETTINGS))).url
    wrong = {"MEW_CONSOLE_SECRET": "not the secret of the app", "ASGI_REALTIME_CONSOLE": url}
    for _ in range(OF_ADDRESS.burst):
        code, output, errors = await invoke(wrong, *command)
        assert (code, output) == (1, "")
        assert errors == (f"Error: the console at {url}{PATH} refuses MEW_CONSOLE_SECRET: it must be that of the app\n")
    code, output, errors = await invoke(App(url).environ, *command)
    assert (code, output) == (75, "")
    assert re.fullmatch(
        rf"Error: the console at {url}{PATH} was given too many wrong secrets; try again in \d+ seconds\n", errors
    )


async def test_a_full_disk_is_one_sentence(app: App) -> None:
    since = (await app.json("emit", "--all", "/", "before"))["position"]
    await app.run("emit", "--all", "/", "after")
    full = os.open("/dev/full", os.O_WRONLY)
    for command in (["tail", "--all", "--gateway", "/", "--since", since], ["nodes"]):
        async with running_command(app.environ, *command, stdout=full) as process:
            _, errors = await process.communicate()
        assert (process.returncode, errors.decode().splitlines()[-1]) == (1, "Error: No space left on device")
        assert "Traceback" not in errors.decode()
    os.close(full)


async def test_a_proxy_may_set_a_cookie_of_its_own(serve: Serve) -> None:
    app, cookies = create_app(SETTINGS), list[str]()

    async def sticky(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(b"set-cookie", b"node=7; Path=/"), *message["headers"]]
            await send(message)

        if scope["type"] == "websocket":
            cookies.append(dict(scope["headers"])[b"cookie"].decode())
        await app(scope, receive, send_with_cookie)

    url = (await serve(sticky)).url
    code, _, errors = await invoke({"MEW_CONSOLE_SECRET": CONSOLE_SECRET}, "nodes", "--console", url)
    assert (code, errors) == (0, "")
    assert cookies[0].startswith("node=7; realtime_console=")


async def test_an_address_without_a_console_is_refused(serve: Serve, app: App) -> None:
    plain = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway()], settings=SETTINGS)
    other = (await serve(plain)).url
    by_check = RealtimeConsole(check=lambda handshake: True)
    settings = dataclasses.replace(SETTINGS, console_secret=None)
    without = (await serve(create_app(settings, by_check))).url
    secret = {"MEW_CONSOLE_SECRET": CONSOLE_SECRET}
    for url, code, message in (
        (other, 1, f"there is no console at {other}{PATH} (the answer is HTTP 404); write --console http"),
        (f"{app.url}/else", 1, f"there is no console at {app.url}/else (the answer is HTTP 200)"),
        (without, 1, f"the console at {without}{PATH} has no secret, so commands cannot log in"),
        (app.url.replace("http:", "https:"), 1, "does not speak HTTP"),
        (f"http://127.0.0.1:{free_port()}", 75, "cannot be reached: "),
        (
            "localhost:8000",
            2,
            "write the address of the console's page, such as http://127.0.0.1:8000/realtime-console",
        ),
        ("http://host:port", 2, "--console"),
        (f"http://x:{'hidden'}@127.0.0.1", 2, "the address must not have a secret in it"),
        (f"http://x:{'hidden'}@127.0.0.1:99999", 2, "write the address of the console's page"),
        (f"http://127.0.0.1?token={'hidden'}", 2, "write the address of the console's page"),
    ):
        found, output, errors = await invoke(secret, "nodes", "--console", url)
        assert (found, output, "hidden" in errors) == (code, "", False), (url, errors)
        assert message in errors.splitlines()[-1], errors
        assert "Traceback" not in errors
    code, output, errors = await invoke({}, "nodes", "--console", app.url)
    assert (code, output) == (1, "")
    assert errors == "Error: MEW_CONSOLE_SECRET is not set: it is the secret of the app's console\n"


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (None, 75, "does not answer within 0.5 seconds"),
        (b"", 75, "cannot be reached: Remote end closed connection without response"),
        (b"SSH-2.0-OpenSSH\r\n", 1, "what answers does not speak HTTP, or wants https:"),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 75, "is not available: HTTP 503"),
        (b"HTTP/1.1 303 See Other\r\nlocation: /login\r\n\r\n", 1, "(the answer is HTTP 303)"),
    ],
)
async def test_whatever_answers_there_the_error_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, code: int, message: str
) -> None:
    monkeypatch.setattr(console_login, "SECONDS", 0.5)
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"secret=")
        if answer is None:
            await asked.wait()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found, output, errors = await invoke(App(url).environ, "nodes")
        asked.set()
    assert (found, output, errors.count("\n")) == (code, "", 1), errors
    assert message in errors and CONSOLE_SECRET not in errors


async def test_a_tail_ends_if_the_secret_was_changed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    server = await serve(create_app(SETTINGS), port=port)
    async with following(App(server.url).environ, "--all", "--gateway", "/") as tail:
        await server.stop()
        await serve(create_app(dataclasses.replace(SETTINGS, console_secret="another secret of the app")), port=port)
        async with asyncio.timeout(20):
            assert await tail.process.wait() == 1
        assert tail.process.stderr is not None
        assert "refuses MEW_CONSOLE_SECRET" in (await tail.process.stderr.read()).decode()
