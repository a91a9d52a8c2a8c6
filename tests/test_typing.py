"""Strict type checkers accept the app of a host against the installed wheel, and report its mistakes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.paths import PACKAGE, ROOT, WIRE

PROGRAM = ROOT / "tests" / "support" / "host_app.py"
MISTAKES = """
from fastapi import FastAPI
from redis import Redis

from asgi_realtime import Brodcaster  # refused
from asgi_realtime import (
    Broadcaster,
    Connection,
    Handshake,
    Identity,
    JobsBroadcaster,
    JobsGateway,
    JWTAuthenticator,
    JWTVerifier,
    Limits,
    RealtimeMiddleware,
    Receipt,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    create_token,
    check_room_name,
    find_gateway,
    id_text,
    on,
)
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.wsgi import get_broadcaster


class CountsOnly:
    def count(self, name: str, amount: int = 1, **labels: str) -> None: ...


class HalfOfJobs:
    def may_join(self, identity: Identity, job_id: str) -> bool:
        return True


class Office(SocketIOGateway):
    async def on_connect(self, connection: str) -> None: ...  # refused

    async def on_offline(self, user_id: int) -> None: ...  # refused

    @on("print")
    async def print_pages(self, pages: int, connection: Conection) -> None: ...  # refused

    @on(print)  # refused
    async def other(self) -> None: ...


def by_name(handshake: Handshake) -> str:
    return handshake.headers["x-name"]


async def sends(broadcaster: Broadcaster, jobs: JobsBroadcaster) -> None:
    await broadcaster.broadcast_to_room(None, "news")  # refused
    await broadcaster.broadcast_to_room("all", "news", gatway="/")  # refused
    await broadcaster.broadcast_to_users("ann", 5)  # refused
    await broadcaster.disconnect_user("ann", code="1008")  # refused
    place: int = await broadcaster.position("all")  # refused
    text: str = await broadcaster.broadcast_to_all("news")  # refused
    broadcaster.sync.broadcast_to_room("all", "news", volatile="yes")  # refused
    await broadcaster.sync.is_online("ann")  # refused
    await jobs.status("1")  # refused
    await jobs.sync.status("1", "done")  # refused
    jobs.sync.status("1", "done", completed=["print"])  # refused
    print(place, text)


async def handles(connection: Connection) -> None:
    await connection.sned("news")  # refused
    await connection.call("news", timeout="5")  # refused
    await connection.join("all", allowed=True)  # refused
    connection.rooms.add("all")  # refused
    connection.identity = Identity(user_id="bob")  # refused


async def mounts(app: FastAPI, settings: Settings) -> None:
    Identity(user_id=None)  # refused
    number: int = id_text(7, "poll")  # refused
    check_room_name(str(number), settings)  # refused
    Handshake(headers=None)  # refused
    Receipt(position=7, delivered_locally=1, replicated=False)  # refused
    Settings(ping_intervall=5)  # refused
    Limits(event_rate="50")  # refused
    create_token("ann", {"jwt_secret": "x"})  # refused
    JWTAuthenticator(JWTVerifier(settings), ["token"])  # refused
    SocketIOGateway("/names", authenticator=by_name)  # refused
    JobsGateway(service=HalfOfJobs())  # refused
    RealtimeMiddleware(app, gateways=SocketIOGateway())  # refused
    app.add_middleware(RealtimeMiddleware, metrics=CountsOnly())  # refused
    app.add_middleware(RealtimeMiddleware, redis="redis://localhost")  # refused
    SyncBroadcaster.connect(redis=Redis())  # refused
    get_broadcaster({}).broadcast_to_all("news")  # refused
    find_gateway({}, Office).broadcaster  # refused
    async with RealtimeTestClient(app) as client, client.connect("/", transport="carrier pigeon"):  # refused
        pass
"""
"""Each line that ends so has a mistake, and no other line has one."""

Problems: TypeAlias = Mapping[int, str]
"""What a checker says, by the number of the line."""


class Host:
    """A virtual environment with the package, installed from its wheel, and the packages of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"

    def install(self) -> None:
        """Build the wheel and install it. Nothing is downloaded."""
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        wheels = self.folder / "wheels"
        options = ("--no-index", "--no-deps")
        self.run(*pip, "wheel", *options, "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT))
        venv.create(self.folder / "venv")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = self.folder / "venv" / "lib" / version / "site-packages"
        self.run(*pip, "install", *options, "--target", str(packages), *map(str, wheels.glob("*.whl")))
        (packages / "environment.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command that does not see this source tree, and return what it prints."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def mypy(self) -> Mapping[str, Problems]:
        """Check all programs with `mypy --strict`. Returns the problems of each."""
        programs = sorted(path.name for path in self.folder.glob("*.py"))
        command = (sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary")
        where = ("--python-executable", str(self.python), "--cache-dir", str(self.folder / "mypy_cache"))
        lines = self.run(*command, *where, *programs, status=1).splitlines()
        found: dict[str, dict[int, str]] = {program: {} for program in programs}
        for line in lines:
            if match := re.fullmatch(r"(.+?):(\d+): error: (.+)", line):
                found[match[1]][int(match[2])] = match[3]
        return found

    def pyright(self) -> Mapping[str, Problems]:
        """Check all programs with Pyright in the mode `strict`. Returns the problems of each."""
        programs = sorted(path.name for path in self.folder.glob("*.py"))
        settings = self.folder / "pyright.json"
        settings.write_text(json.dumps({"typeCheckingMode": "strict", "include": programs}), encoding="utf-8")
        command = ("node", str(WIRE / "node_modules" / "pyright" / "index.js"), "--outputjson")
        where = ("--pythonpath", str(self.python), "--project", str(settings))
        report = json.loads(self.run(*command, *where, status=1))
        assert report["summary"]["filesAnalyzed"] == len(programs)
        found: dict[str, dict[int, str]] = {program: {} for program in programs}
        for each in report["generalDiagnostics"]:
            found[Path(each["file"]).name][each["range"]["start"]["line"] + 1] = each["message"]
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("host"))
    host.install()
    (host.folder / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    (host.folder / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    return host


def test_the_app_runs_on_the_installed_package(host: Host) -> None:
    where = host.run(str(host.python), "-c", "import asgi_realtime; print(asgi_realtime.__file__)")
    assert host.folder in Path(where).parents
    host.run(str(host.python), PROGRAM.name)


def test_the_installed_package_has_the_page_of_the_console(host: Host) -> None:
    program = "import asgi_realtime, os; print(*os.listdir(asgi_realtime.__path__[0] + '/console/page'))"
    found = host.run(str(host.python), "-c", program).split()
    assert sorted(found) == sorted(file.name for file in (PACKAGE / "console" / "page").iterdir())


def test_the_installed_package_has_the_files_for_monitoring(host: Host) -> None:
    command = (str(host.python), "-m", "asgi_realtime", "monitoring")
    assert "groups:" in host.run(*command, "alerts")
    assert "panels" in json.loads(host.run(*command, "dashboard"))


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def problems(host: Host, request: pytest.FixtureRequest) -> Mapping[str, Problems]:
    return host.mypy() if request.param == "mypy" else host.pyright()


def test_a_checker_accepts_the_app(problems: Mapping[str, Problems]) -> None:
    assert problems[PROGRAM.name] == {}


WRONG = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.endswith("# refused")}


def test_a_checker_refuses_the_mistakes(problems: Mapping[str, Problems]) -> None:
    found = problems["mistakes.py"]
    assert found.keys() == WRONG, found
