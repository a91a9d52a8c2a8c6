"""Runs a section of a page in an empty folder, exactly as it is printed: its files and its commands, in their order."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement

from tests.support.paths import ROOT

LONG = os.environ.get("FIVE_MINUTES") == "long"
"""Whether virtual environments are made and packages are installed, as a page prints it."""
START_SECONDS = 60.0
COMMAND_SECONDS = 300.0
"""For `pip install`, the slowest."""
_BLOCK = re.compile(r"(?:^`([\w./-]+)`([^\n]*):\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def section(page: Path, heading: str, level: int = 2) -> str:
    """The text below a heading, without what belongs to headings of the same level or above."""
    text = page.read_text("utf-8").partition(f"\n{'#' * level} {heading}\n")[2]
    assert text, f"{page.name} has no section {heading}"
    return re.split(rf"^#{{2,{level}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def build_wheel(folder: Path) -> Path:
    """Make a folder with a wheel of this checkout."""
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    return folder


class PrintedPage:
    """The folder in which a reader follows a page.

    A block below a line such as "`chat/views.py`:" is written to that file, and below "`mysite/urls.py`, at the end:"
    it is added to it. The lines of a `console` block that begin with `$ ` are run in a shell.

    Args:
        folder: an empty folder.
        servers: the commands that do not end, as they are printed. One runs at a time, until `stop`.
        port: where each of them listens.
        wheels: a folder with the wheel of this package, for `pip install`. None: nothing is installed, and no virtual
            environment is made. The packages that the page names must be installed where the tests run.
        environ: further variables.
    """

    def __init__(
        self, folder: Path, servers: Collection[str], port: int, wheels: Path | None, environ: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.printed: list[str] = []
        """What each command has printed that `follow` has run to its end."""
        self._servers = servers
        self._port = port
        self._installs = wheels is not None
        self._environ = _environment(wheels) | dict(environ)
        self._running: subprocess.Popen[bytes] | None = None

    def follow(self, text: str) -> None:
        """Do what a section says."""
        for path, where, language, block in _BLOCK.findall(text):
            if language == "console":
                for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                    self._run(command)
            elif path:
                self._write(path, block, add="at the end" in where)

    def _write(self, path: str, text: str, *, add: bool) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if add else "w", encoding="utf-8") as opened:
            opened.write(f"\n{text}" if add else text)

    def _run(self, command: str) -> None:
        program = command.split()[0]
        if command in self._servers:
            self._start(command)
        elif command.startswith("pip install ") and not self._installs:
            _check_installed(command)
        elif program == "export" or (program == "source" and self._installs):
            self._keep_variables(command)
        elif program == "source" or (command.startswith("python3 -m venv ") and not self._installs):
            pass  # the tests have a virtual environment of their own
        else:
            self.printed.append(self.run(command))

    def _keep_variables(self, command: str) -> None:
        """Run a command that changes the variables of the commands after it."""
        variables = self.run(f"{command} && env -0").split("\0")
        self._environ = dict(variable.split("=", 1) for variable in variables if variable)

    def run(self, command: str) -> str:
        """Run a command to its end, and return what it prints.

        Raises:
            AssertionError: it failed.
        """
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def _start(self, command: str) -> None:
        assert self._running is None, "a server runs: call `stop` first"
        with (self.folder / "server.log").open("wb") as log:
            self._running = subprocess.Popen(
                ["bash", "-c", f"exec {command.removesuffix(' &')}"],
                cwd=self.folder,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # `runserver` has a process below it
            )
        deadline = time.monotonic() + START_SECONDS
        while not _is_open(self._port):
            assert self._running.poll() is None and time.monotonic() < deadline, self.output
            time.sleep(0.02)

    @property
    def output(self) -> str:
        """What the server that was started last has printed."""
        return (self.folder / "server.log").read_text(errors="replace")

    def stop(self) -> None:
        """End the server, as Ctrl-C does."""
        running, self._running = self._running, None
        if running is not None:
            os.killpg(running.pid, signal.SIGINT)
            try:
                running.wait(START_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)


@contextlib.contextmanager
def printed_page(
    folder: Path,
    *,
    servers: Collection[str],
    port: int,
    wheels: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[PrintedPage]:
    """A folder in which to follow a page. The port is that of the page, so only one test at a time uses it."""
    with (Path(tempfile.gettempdir()) / f"asgi_realtime-page-{port}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not _is_open(port), f"the page uses port {port}, where another program listens: stop it"
        page = PrintedPage(folder, servers, port, wheels, environ)
        try:
            yield page
        finally:
            page.stop()


def _environment(wheels: Path | None) -> dict[str, str]:
    """The variables of a reader: without the virtual environment of the tests, if the page makes one."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("MEW_", "DJANGO_"))}
    own = Path(sys.executable).parent
    path = [folder for folder in environ["PATH"].split(os.pathsep) if Path(folder) != own]
    environ["PYTHONUNBUFFERED"] = "1"
    if wheels is None:
        return environ | {"PATH": os.pathsep.join([str(own), *path]), "PYTHONPATH": str(ROOT)}
    environ.pop("PYTHONPATH", None)
    return environ | {"PATH": os.pathsep.join(path), "PIP_FIND_LINKS": str(wheels)}


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _check_installed(command: str) -> None:
    for word in command.replace("'", "").split()[2:]:
        wanted = Requirement(word)
        if wanted.name != "asgi_realtime":  # its sources are used
            version = importlib.metadata.version(wanted.name)
            assert version in wanted.specifier, f"{word}: {version} is installed"
