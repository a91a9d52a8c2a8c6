"""The contract of messages from one process to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class NodeChannel(Protocol):
    """Sends messages to other processes by their ids, and receives those for this one.

    Messages from one process to another keep their order. If one is lost, `lost` is called at the sender or at the
    recipient.
    """

    @property
    def node(self) -> str:
        """The id of this process: 8 URL-safe characters. Every session id ends with it."""

    def listen(self, *, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """From now on call `received` for each message, and `lost` when messages may have been lost."""

    def send(self, node: str, message: bytes, done: Callable[[int], None]) -> None:
        """Send a message. `done` is called later with the number of processes that it was sent to: 1, or 0.

        It is 0 if that process has ended, or if the connection was lost. Never waits and never raises.
        """
