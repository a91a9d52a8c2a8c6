"""One question to the host about the rooms of one connection, while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Refresh:
    """The state of the question."""

    __slots__ = ("ask_again", "done", "entering", "error", "changes", "task")

    def __init__(self) -> None:
        self.changes: list[Callable[[], None]] = []
        """Changes made since the question. The answer may be older than they are, so they are repeated after it."""
        self.ask_again = False
        """Whether the host must be asked once more: another refresh was requested before the answer."""
        self.entering = False
        """Whether the connection is being let in. Then `error` is raised there, instead of ending the connection."""
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set at the end, also when the host has failed."""
