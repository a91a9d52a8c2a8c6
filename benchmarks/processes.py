"""Pins processes to processors, waits for their start, and reads their figures from the operating system."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


class Processors(NamedTuple):
    """The processors of the server and of the load generator. None: there is only one, and nothing is pinned."""

    server: int | None
    load: int | None


def processors() -> Processors:
    """Choose two of the processors that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Processors(usable[0], usable[1]) if len(usable) > 1 else Processors(None, None)


@contextlib.contextmanager
def pinned(processor: int | None) -> Iterator[None]:
    """Run processes that are started within this block on one processor."""
    before = os.sched_getaffinity(0)
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """Raise the limit of open files, also for children, to the system's maximum. Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class CPU(NamedTuple):
    """Processor time used, in seconds. The kernel's share is `total - user`."""

    user: float
    total: float

    def since(self, before: CPU) -> CPU:
        """The time used between two readings."""
        return CPU(self.user - before.user, self.total - before.total)


def family(pid: int) -> list[int]:
    """A process and its descendants: some servers work in a child."""
    found = [pid]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu(pid: int) -> CPU:
    """Read the time used by a process and its descendants.

    The total is the scheduler's, to the nanosecond; the user part is in ticks of 10 ms, which a
    second's measurement makes one per cent.
    """
    user = total = 0.0
    for process in family(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11]) * _TICK
        for thread in Path(f"/proc/{process}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0]) * 1e-9
    return CPU(user, total)


def memory(pid: int) -> float:
    """Memory of a process and its descendants in KB: proportional if the kernel reports it, else resident."""
    return sum(_proportional(process) for process in family(pid))


def _proportional(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB
    return next(float(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def unsent(port: int) -> int:
    """Bytes that wait in the kernel to be sent, on the connection of this port with the most."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return max((int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}")), default=0)


def free_port() -> int:
    """A port that no process uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def accepts(port: int, process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process that was just started accepts connections on a port within this time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)  # no event announces that another process listens
        else:
            return True
    return False
