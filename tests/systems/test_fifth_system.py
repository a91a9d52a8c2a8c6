"""A fifth system, Polls (tests/support/polls), needs no change of the package: clients, routes, views and types."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, assert_type

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from fastapi import Depends, FastAPI
from flask import Flask, request

import asgi_realtime
from asgi_realtime import (
    ConfigurationError,
    EventsGateway,
    Identity,
    RealtimeMiddleware,
    Receipt,
    Settings,
    create_token,
)
from tests.support import polls
from tests.support.paths import ROOT
from tests.support.polls import (
    PollsBroadcaster,
    PollsGateway,
    get_polls_broadcaster,
    get_sync_polls_broadcaster,
)
from tests.support.python_client import PythonClient
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


class Votes:
    """The service of the host: votes in memory, counted by a plain method."""

    def __init__(self) -> None:
        self.votes: Counter[str] = Counter()

    def count(self, identity: Identity, poll_id: str, choice: str) -> dict[str, int]:
        self.votes[choice] += 1
        return dict(self.votes)


def wsgi(app: Any) -> Any:
    """The ASGI app of a WSGI app. Each library has its own types of scopes and environments."""
    return WSGIMiddleware(app)


def make_app() -> FastAPI:
    """FastAPI with a Flask app below `/flask`, both with Polls' broadcaster."""
    app, flask = FastAPI(), Flask(__name__)

    @app.post("/result")
    async def result(broadcaster: Annotated[PollsBroadcaster, Depends(get_polls_broadcaster)]) -> int:
        receipt = await broadcaster.result("tea", {"green": 10})
        assert_type(receipt, Receipt)
        return receipt.delivered_locally

    @flask.post("/close")
    def close() -> dict[str, int | None]:
        broadcaster = get_sync_polls_broadcaster(request.environ)
        if broadcaster is None:
            return {"recipients": None}
        receipt = broadcaster.closed("tea")
        assert_type(receipt, Receipt)
        return {"recipients": receipt.delivered_locally}

    app.mount("/flask", wsgi(flask))
    assert flask.test_client().post("/close").json == {"recipients": None}, "a view without a gateway"
    return app


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_clients_routes_and_views_use_a_system_of_the_host(serve: Serve, implementation: Implementation) -> None:
    app = RealtimeMiddleware(make_app(), gateways=[EventsGateway(), PollsGateway(service=Votes())], settings=SETTINGS)
    server = await serve(app, implementation)
    ann, bob = PythonClient(), PythonClient()
    try:
        for client, name in ((ann, "ann"), (bob, "bob")):
            await client.connect(server.url, "/polls", auth={"token": create_token(name, SETTINGS)})
            await client.call("poll:follow", {"pollId": "tea"})
        assert await ann.call("poll:vote", {"pollId": "", "choice": "green"}) == [
            {"success": False, "code": "INVALID_MESSAGE", "message": "a room name is a non-empty string"}
        ]
        assert await ann.call("poll:vote", {"pollId": "tea", "choice": "green"}) == [
            {"pollId": "tea", "votes": {"green": 1}}
        ]
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.post("/result")).json() == 2
            assert (await http.post("/flask/close")).json() == {"recipients": 2}
            assert (await http.post("/result")).json() == 0, "the poll is closed"
        for client in (ann, bob):
            assert (await client.expect("poll:result")).data == {"pollId": "tea", "votes": {"green": 1}}
            assert (await client.expect("poll:result")).data == {"pollId": "tea", "votes": {"green": 10}}
            assert (await client.expect("poll:closed")).data == {"pollId": "tea"}
    finally:
        await ann.disconnect()
        await bob.disconnect()


async def test_a_request_without_the_system_gets_an_error_that_names_it() -> None:
    others = RealtimeMiddleware(make_app(), gateways=[EventsGateway()], settings=SETTINGS)
    async with others.realtime:
        for app, message in ((make_app(), "did not come through RealtimeMiddleware"), (others, "no PollsGateway")):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:
                with pytest.raises(ConfigurationError, match=message):
                    await http.post("/result")


def test_a_system_of_the_host_needs_only_exported_names() -> None:
    for path in Path(polls.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("asgi_realtime"):
                assert node.module == "asgi_realtime", path
                assert {alias.name for alias in node.names} <= set(asgi_realtime.__all__), path


def test_the_types_command_accepts_a_system_of_the_host(tmp_path: Path) -> None:
    shutil.copytree(Path(polls.__file__).parent, tmp_path / "polls")
    command = [sys.executable, "-m", "asgi_realtime", "types", "polls:PollsGateway", "--output", "types"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "types" / "polls.ts").read_text(encoding="utf-8")
    assert '  "poll:result": (payload: Result) => void;\n' in text
    assert '  "poll:vote": (payload: Vote, acknowledge: (answer: Result | ' in text
    assert "  readonly votes: { readonly [name: string]: number };\n" in text
