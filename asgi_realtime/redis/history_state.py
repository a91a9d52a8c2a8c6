"""What `state.lua` returns: where the history of a gateway is."""

from __future__ import annotations

import secrets
from typing import cast

from asgi_realtime.redis.link import Reply


class HistoryState:
    """The state of a gateway, read from the reply."""

    __slots__ = ("command", "epoch", "last", "now", "number")

    def __init__(self, reply: Reply) -> None:
        epoch, number, now, command, *last = cast("list[bytes | None]", reply)
        assert epoch is not None and number is not None and now is not None
        self.epoch = epoch.decode()
        """It changes when Redis has lost its history."""
        self.number = int(number)
        """The number of the last publication or command."""
        self.now = int(now)
        """The time of Redis, in microseconds."""
        self.command = int(command or 0)
        """The number of the last command that only history repeats: not of a revocation, which is kept. 0: none."""
        self.last = [int(text or 0) for text in last]
        """The last number of each target that was asked for. 0: none within the time that history is kept."""


def new_epoch() -> str:
    """An epoch, for the case that Redis has none."""
    return secrets.token_hex(8)
