"""A Redis for the demonstration. It is on a Unix socket, keeps nothing on disk, and ends with the program."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

_START_SECONDS = 10.0


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Run a redis-server. Yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is missing. On Debian or Ubuntu: sudo apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="mew-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        options = {"port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "dir": folder, "save": ""}
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _await(socket, process)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


def _await(socket: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(redis.RedisError), redis.Redis(unix_socket_path=str(socket)) as client:
            client.ping()
            return
        time.sleep(0.02)
    sys.exit("redis-server did not start")
