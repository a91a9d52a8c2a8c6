"""The service that Polls needs from its host."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime import Identity, MaybeAwaitable


class PollsService(Protocol):
    """The host's polls and votes. A method is async, or plain: then it runs in a thread."""

    def count(self, identity: Identity, poll_id: str, choice: str) -> MaybeAwaitable[dict[str, int]]:
        """Count a vote, and return the number of votes for each choice."""
