"""The server's processor time for some work of the load generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from benchmarks.plan import Figures
from benchmarks.processes import CPU
from benchmarks.server import Server

T = TypeVar("T")


def accounted(server: Server, work: Callable[[], T]) -> tuple[T, CPU]:
    """The result of the work, and the processor time that the server used for it."""
    before = server.cpu()
    done = work()
    return done, server.cpu().since(before)


def per_item(name: str, used: CPU, count: int) -> Figures:
    """Microseconds of the server's processor time per item, in total and outside the kernel."""
    return {f"{name} total": used.total / count * 1e6, f"{name} user": used.user / count * 1e6}
