"""Detects a second process of the same app on the same machine, which without Redis would have other clients."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from asgi_realtime.errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger("asgi_realtime")

WAIT_SECONDS: Final = 3.0
"""How long a process waits for the other one to stop. In a rolling restart both run for a moment."""
_LOOK_SECONDS: Final = 0.1
_SERVERS: Final = ("uvicorn", "uvicorn_worker", "hypercorn", "granian", "gunicorn", "daphne")
"""Packages whose code runs the event loop of a server."""
_UVICORN_WORKERS: Final = "uvicorn.supervisors.multiprocess"
_APP: Final = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.()]*")
"""How the command line of a server names the app: `module:attribute`."""


class SecondProcess(ConfigurationError):
    """Another process of this app runs on this machine."""


class SingleProcess:
    """A lock on the app, held by the one process that serves it.

    It is a lock on a file in a folder of this user. The operating system removes it when the process ends, in any way.
    The file is named by the app: the file of the module on the command line of the server, or of the program.
    Another checkout is another app, and so is another container.

    Nothing is locked, and nothing is refused, where this is not the process of a server (tests and scripts run apps on
    their own event loops), where no folder can be written, and on Windows.
    """

    def __init__(self, *, expected: bool) -> None:
        """`expected`: other processes of the app may run, or a test has started this one. Then nothing is locked."""
        self._expected = expected
        self._locks: list[int] = []

    async def acquire(self) -> None:
        """Lock the app. Waits up to `WAIT_SECONDS` while another process has it.

        Raises:
            SecondProcess: another process has it, or uvicorn has started this one as one of several workers.
        """
        if self._expected or sys.platform == "win32" or not _is_server():
            return
        try:
            path = _folder() / _digest()
            if _is_uvicorn_worker():
                self._refuse(path, "uvicorn runs several workers of this app")
            deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
            while not self._lock(path):
                other = _read_pid(path)
                if other == os.getpid() or not _is_alive(other):
                    return  # another middleware of this process; or a process that only inherited the lock
                if asyncio.get_running_loop().time() > deadline:
                    self._refuse(path, f"process {other} serves this app on this machine already")
                await asyncio.sleep(_LOOK_SECONDS)
        except OSError as error:
            logger.info("other processes of this app are not noticed: %s", error)

    def release(self) -> None:
        """Release the lock: this process accepts no more clients."""
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _refuse(self, path: Path, reason: str) -> NoReturn:
        _end_restarts()
        if _is_explained(path.with_suffix(".refused")):
            raise SecondProcess("this process is one of several without MEW_REDIS_URL")
        raise SecondProcess(
            f"{reason}, and without Redis each process has only its own clients: "
            "set MEW_REDIS_URL to join the processes, or run one process (uvicorn without --workers). "
            "MEW_SINGLE_PROCESS=true allows several that are separate on purpose"
        )

    def _lock(self, path: Path) -> bool:
        assert sys.platform != "win32"
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        path.write_text(str(os.getpid()))
        self._locks.append(descriptor)
        return True


def _open(path: Path) -> int:
    assert sys.platform != "win32"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_explained(path: Path) -> bool:
    """Whether another worker of the same parent was refused a moment ago, and has logged why.

    The workers of a server are refused within seconds of each other, and the first may have ended before the last. So
    the file keeps the parent and the time.
    """
    assert sys.platform != "win32"
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for two system calls
        if _read_pid(path) == os.getppid() and time.time() - path.stat().st_mtime < 2 * WAIT_SECONDS:
            return True
        path.write_text(str(os.getppid()))
        return False
    finally:
        os.close(descriptor)


def _modules_that_run() -> Iterator[str]:
    """The names of the modules whose functions run at the moment, on this thread."""
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        if frame.f_back is None:
            return
        frame = frame.f_back


def _is_server() -> bool:
    """Whether a server runs the event loop, on the main thread."""
    return threading.current_thread() is threading.main_thread() and any(
        name.partition(".")[0] in _SERVERS for name in _modules_that_run()
    )


def _is_uvicorn_worker() -> bool:
    """Whether this is one of several workers. It is refused at once, so that no worker serves a client before that."""
    return _UVICORN_WORKERS in _modules_that_run()


def _end_restarts() -> None:
    """End a supervisor that would start a refused worker again and again, as older versions of uvicorn do."""
    if not hasattr(sys.modules.get(_UVICORN_WORKERS), "STARTUP_FAILURE") and _is_uvicorn_worker():
        os.kill(os.getppid(), signal.SIGTERM)


def _folder() -> Path:
    """A folder that only this user can write to.

    Raises:
        OSError: there is none.
    """
    assert sys.platform != "win32"
    parent = tempfile.gettempdir()
    if os.path.samefile(parent, os.getcwd()):
        raise OSError("there is no folder for temporary files")
    folder = Path(parent) / f"asgi_realtime-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OSError(f"{folder} belongs to another user")
    return folder


def _digest() -> str:
    """What names the app."""
    app = next((word for word in sys.argv[1:] if _APP.fullmatch(word)), "")
    module = sys.modules.get(app.partition(":")[0])
    file = getattr(module, "__file__", None) or sys.argv[0]
    namespace = Path("/proc/self/ns/pid")
    container = namespace.stat().st_ino if namespace.exists() else ""
    return hashlib.sha256(f"{container}\0{app}\0{os.path.realpath(file)}".encode()).hexdigest()[:32]


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except ValueError:
        return 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
