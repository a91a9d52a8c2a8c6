"""Processes on a processor of their own, and what the operating system knows about them."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


class Processors(NamedTuple):
    """Which processor serves and which generates load. None: there is but one, nothing is pinned."""

    server: int | None
    load: int | None


def processors() -> Processors:
    """Choose two processors of those this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Processors(usable[0], usable[1]) if len(usable) > 1 else Processors(None, None)


@contextlib.contextmanager
def pinned(processor: int | None) -> Iterator[None]:
    """Run what is started in here on one processor: children inherit it."""
    before = os.sched_getaffinity(0)
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """Allow this process and its children as many open files as the system does. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class CPU(NamedTuple):
    """Processor time used, in seconds. The kernel's share is `total - user`."""

    user: float
    total: float

    def since(self, before: CPU) -> CPU:
        """What was used between two readings."""
        return CPU(self.user - before.user, self.total - before.total)


def family(pid: int) -> list[int]:
    """A process and all below it: some servers work in a child."""
    found = [pid]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu(pid: int) -> CPU:
    """Read the time used by a process and those below it.

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
    """KB that a process and those below it hold: shared pages by share where the kernel tells, else resident."""
    return sum(_proportional(process) for process in family(pid))


def _proportional(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB
    return next(float(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def unsent(port: int) -> int:
    """Bytes that wait in the kernel for the other end, on that connection from this port which has most."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return max((int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}")), default=0)
