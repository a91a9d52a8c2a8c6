"""The units of docs/operations/deployment.md: checked by systemd's own tools, and run by its protocol for sockets."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import functools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.deployed_clients import PATIENCE, SETTINGS, deployed_clients
from tests.support.node_client import Node, NodeClient
from tests.support.paths import DEPLOYMENT, ROOT
from tests.support.redis_server import free_port
from tests.support.waiting import until

UVICORN: Final = "/srv/mew/.venv/bin/uvicorn"
ENVIRON: Final = {"MEW_JWT_SECRET": SETTINGS.jwt_secret or "", "PYTHONPATH": str(ROOT)}


def unit(name: str) -> configparser.ConfigParser:
    """A unit file."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOYMENT / name)
    return parser


def command() -> list[str]:
    """The command of the service, for the app of the tests."""
    text = unit("mew@.service")["Service"]["ExecStart"]
    assert text.startswith(f"{UVICORN} app:app ")
    arguments = shlex.split(text.replace("app:app", "tests.support.deployed_app:app"))[1:]
    return [sys.executable, "-m", "uvicorn", *arguments]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    assert program is not None, "scripts/system-packages installs systemd"
    for kind in ("socket", "service"):
        text = (DEPLOYMENT / f"mew@.{kind}").read_text()
        (tmp_path / f"mew@8001.{kind}").write_text(text.replace(UVICORN, sys.executable))
    units = [str(tmp_path / f"mew@8001.{kind}") for kind in ("socket", "service")]
    done = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextlib.asynccontextmanager
async def running(
    *arguments: str, log: Path, environ: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program until the block ends."""
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdout=file, stderr=file, cwd=ROOT, env=environ, pass_fds=pass_fds
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.wait()


async def test_systemd_starts_the_service_with_the_first_connection(node: Node, tmp_path: Path) -> None:
    program = shutil.which("systemd-socket-activate")
    assert program is not None, "scripts/system-packages installs systemd"
    port, log = free_port(), tmp_path / "log"
    variables = [f"--setenv={name}={value}" for name, value in ENVIRON.items()]
    async with running(program, f"--listen=127.0.0.1:{port}", *variables, *command(), log=log):
        await until(lambda: "Listening on" in log.read_text())
        async with deployed_clients(f"http://127.0.0.1:{port}", node) as clients:
            assert (await clients.http.get("/who")).json()["address"] == "127.0.0.1"
            await clients.check(1)
    assert "Traceback" not in log.read_text()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The socket that systemd holds."""
    options = unit("mew@.socket")["Socket"]
    assert options["ListenStream"] == "127.0.0.1:%i"
    with socket.socket() as found:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, options["NoDelay"] == "true")
        found.bind(("127.0.0.1", 0))
        found.listen(int(options["Backlog"]))
        yield found


def started(listener: socket.socket, log: Path) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Start the service with the socket as systemd does: as descriptor 3, with two variables."""
    number = listener.fileno()
    script = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{number} {number}<&-'
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MEW_")} | ENVIRON
    return running("bash", "-c", script, "bash", *command(), log=log, environ=environ, pass_fds=[number])


async def ask(url: str, answers: list[int], failures: list[str]) -> None:
    """Ask again and again, each time on a new connection, and note which process answers."""
    while True:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            try:
                answers.append((await http.get("/who")).json()["process"])
            except httpx.ConnectError as error:
                failures.append(repr(error))
            except (httpx.RemoteProtocolError, httpx.ReadError):
                pass  # accepted at the last moment, and closed or reset without an answer; every client asks again


def has_come_back(client: NodeClient) -> bool:
    return client.connected and bool(client.disconnects)


async def test_a_restart_refuses_no_connection(listener: socket.socket, node: Node, tmp_path: Path) -> None:
    url, log = f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path / "log"
    answers: list[int] = []
    failures: list[str] = []
    async with started(listener, log) as old:
        asking = asyncio.create_task(ask(url, answers, failures))
        async with deployed_clients(url, node, reconnection=True, reconnectionDelay=100) as clients:
            await clients.check(1)
            old.send_signal(signal.SIGTERM)
            async with asyncio.timeout(int(unit("mew@.service")["Service"]["TimeoutStopSec"])):
                await old.wait()
            async with started(listener, log) as new:
                await until(lambda: new.pid in answers or asking.done())
                for socket_ in clients.sockets:
                    await until(functools.partial(has_come_back, socket_))
                    assert await socket_.call("echo", 2, timeout=PATIENCE) == [2]
                asking.cancel()
                await asyncio.wait([asking])
    assert asking.cancelled(), "it asked until the end"
    assert failures == []
    assert "Traceback" not in log.read_text()
