"""The state of a running refresh, in which the host returns the rooms of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Refresh:
    """The state of one refresh."""

    __slots__ = ("ask_again", "done", "entering", "error", "changes", "task")

    def __init__(self) -> None:
        self.changes: list[Callable[[], None]] = []
        """Changes since the host was called. The host's answer may be older, so they are repeated after it."""
        self.ask_again = False
        """Whether the host must be called again: another refresh was requested before the answer."""
        self.entering = False
        """Whether the connection is being accepted. Then `error` is raised there, instead of ending the connection."""
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set at the end, also when the host has failed."""
