"""What Polls asks of its host."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime import Identity


class PollsService(Protocol):
    """The host's polls and votes."""

    async def count(self, identity: Identity, poll_id: str, choice: str) -> dict[str, int]:
        """Count a vote, and return the number of votes for each choice."""
