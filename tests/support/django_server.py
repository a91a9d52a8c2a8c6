"""The Django project of the tests: its database, commands, a server in a process of its own, and clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.paths import ROOT

START_SECONDS = 60.0
PATIENCE = 20.0
"""Seconds that a test waits for a frame."""
_LISTENING = re.compile(r"(?:running on http://|Listening on TCP address |server at http://)127\.0\.0\.1:(\d+)", re.I)
CHANGES = ("password", "no password", "inactive", "delete")
"""What ends the connections of an account."""
MODELS = ("user", "proxy", "child")
"""The models by which an account is changed. Each change by each model has a user of its own."""
_NAMES = ("ann", "bob", *[f"{change} {model}" for change in CHANGES for model in MODELS])
_TABLES_AND_USERS = f"""
from django.contrib.auth.models import User
from django.core.management import call_command
from tests.support.django_project.models import Editor
call_command("migrate", run_syncdb=True, verbosity=0)
for name in {_NAMES}:
    model = Editor if name.endswith("child") else User
    model.objects.create_superuser(name, name + "@example.com", "secret")
"""


def environment(folder: Path, settings: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of the project. No `MEW_` variable of the tests' own is in it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MEW_")}
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.support.django_project.settings",
        "PROJECT_FOLDER": str(folder),
        "PROJECT_SETTINGS": json.dumps(settings),
        "PYTHONPATH": str(ROOT),
    }
    return kept | own | dict(variables)


def make_database(folder: Path, settings: Mapping[str, Any] = {}) -> None:
    """Create the tables, and users, who are administrators."""
    run(folder, "shell", "--command", _TABLES_AND_USERS, settings=settings)


def run(folder: Path, *arguments: str, settings: Mapping[str, Any] = {}, variables: Mapping[str, str] = {}) -> str:
    """Run a management command, and return what it prints.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=folder,
        env=environment(folder, settings, variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class DjangoServer:
    """A running server of the project."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._output = output
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def database_files(self) -> int:
        """How often it has the file of the database open: once for each connection."""
        opened = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                opened += os.readlink(entry).endswith("/project.sqlite3")
        return opened

    def until_listening(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + START_SECONDS
        while (found := _LISTENING.search(self.output)) is None:
            assert self.process.poll() is None and time.monotonic() < deadline, self.output
            time.sleep(0.02)  # its output is a file
        self.port = int(found[1])
        while True:  # `runserver` says it before it listens
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self.process.poll() is None and time.monotonic() < deadline, self.output
            time.sleep(0.02)

    @contextlib.asynccontextmanager
    async def log_in(self, name: str, seconds: int | None = None) -> AsyncIterator[DjangoClient]:
        """A client with the session of a user, which expires after some seconds."""
        data = {"name": name} | ({} if seconds is None else {"seconds": str(seconds)})
        async with httpx.AsyncClient(base_url=self.url, timeout=START_SECONDS) as http:
            assert (await http.post("/log-in", data=data)).is_success
            yield DjangoClient(self, http)


class DjangoClient:
    """A browser, as far as cookies go: HTTP requests, and WebSockets with the same session."""

    def __init__(self, server: DjangoServer, http: httpx.AsyncClient) -> None:
        self._server = server
        self.http = http

    @property
    def cookie(self) -> str:
        return f"sessionid={self.http.cookies['sessionid']}"

    @contextlib.asynccontextmanager
    async def notes(self, origin: str | None = None) -> AsyncIterator[Notes]:
        """A WebSocket of the gateway `/notes`, from a page of an origin. None: of the same origin."""
        url = f"{self._server.url.replace('http', 'ws')}/notes?recovery=false"
        headers = {"Cookie": self.cookie, "Origin": origin or self._server.url}
        async with connect(url, additional_headers=headers) as socket:
            yield Notes(socket)


class Notes:
    """A client of the gateway `/notes`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, data: object = None) -> None:
        await self.socket.send(json.dumps({"type": kind} | ({} if data is None else {"data": data})))

    async def expect(self, kind: str) -> Any:
        """Skip frames up to one of this type, and return its data."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame["type"] == kind:
                    return frame.get("data")


@contextlib.contextmanager
def django_server(
    folder: Path,
    *command: str,
    settings: Mapping[str, Any] = {},
    variables: Mapping[str, str] = {},
) -> Iterator[DjangoServer]:
    """Run `python -m command` until the block ends. Default: uvicorn with the project."""
    arguments = command or ("uvicorn", "tests.support.django_project.asgi:application", "--port", "0")
    output = folder / "server.log"
    environ = environment(folder, settings, {"PYTHONUNBUFFERED": "1", **variables})
    with serving_process([sys.executable, "-m", *arguments], output, cwd=folder, env=environ) as process:
        server = DjangoServer(process, output, folder)
        server.until_listening()
        yield server


@contextlib.contextmanager
def serving_process(
    command: Sequence[str], output: Path, *, cwd: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends. What it prints goes to a file."""
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def copy_database(made: Path, folder: Path) -> Path:
    """Copy the database of another folder, and return the folder."""
    shutil.copy(made / "project.sqlite3", folder / "project.sqlite3")
    return folder
