"""A real PostgreSQL for tests, on a Unix socket in a folder of its own. It can be stopped and started again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

_USER = "postgres"
_START_SECONDS = 30.0
# What a crash of the machine would lose is of no interest here.
_OPTIONS = {"listen_addresses": "", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresProcess:
    """A PostgreSQL server, with its default of 100 connections.

    Args:
        folder: where its data and its socket are. Clients name it as the host.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # PostgreSQL does not run as root. Debian's package has made this user.
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)

    def create(self) -> None:
        """Make the data of an empty server."""
        options = ["--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = self._start("initdb", *options, "--pgdata", str(self.folder / "data"))
        assert done.wait(_START_SECONDS) == 0, self._log.read_text()

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        self._process = self._start("postgres", "-D", str(self.folder / "data"), "-k", str(self.folder), *options)
        deadline = time.monotonic() + _START_SECONDS
        while self._start("pg_isready", "--quiet", "--host", str(self.folder)).wait() != 0:
            assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text()

    def stop(self) -> None:
        """End all connections, and stop the server."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_START_SECONDS)
            finally:
                process.kill()

    def freeze(self) -> None:
        """Accept no more connections: those who connect wait. Connections that are open go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a `freeze`."""
        self._signal(signal.SIGCONT)

    def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database, as a copy of another one."""
        arguments = ["--host", str(self.folder), "--username", _USER, "--template", template, name]
        assert self._start("createdb", *arguments).wait(_START_SECONDS) == 0, self._log.read_text()

    def settings(self, database: str, **options: object) -> dict[str, object]:
        """Django's setting `DATABASES` for a database of this server."""
        place = {"NAME": database, "USER": _USER, "HOST": str(self.folder)}
        return {"DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", **place, **options}}}

    async def connect(self, database: str = _USER) -> Any:
        """A connection of the test itself."""
        return await asyncpg.connect(host=str(self.folder), user=_USER, database=database, command_timeout=20)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Run a query on a connection of its own, to the database `postgres`. Returns the first column of all rows."""
        connection = await self.connect()
        try:
            return [row[0] for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def connections(self, database: str) -> int:
        """How many connections clients have to a database."""
        [count] = await self.fetch("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database)
        return int(count)

    async def end_connections(self, database: str) -> None:
        """End all connections of clients to a database."""
        await self.fetch("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1", database)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def _log(self) -> Path:
        return self.folder / "postgresql.log"

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        user = _USER if os.geteuid() == 0 else None
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [_path(program), *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )


def _path(program: str) -> str:
    """The path of a program of PostgreSQL. Debian has them outside of `PATH`, a folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which(program, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))
    assert found is not None, f"the tests need {program}; Debian's package postgresql has it"
    return found


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgresProcess]:
    """A running server until the block ends."""
    # Not below pytest's folder: the path of a Unix socket is limited to about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = PostgresProcess(Path(folder))
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop()
