"""The contract of answers: which events of a gateway's clients were handled, and with which result."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from asgi_realtime.values.ids import UserId


class EventKey(NamedTuple):
    """Identifies an event of a client, on every connection of its user."""

    user_id: UserId
    event: str
    id: str
    """The id that the client has given it."""


class Answers(Protocol):
    """The answers of one gateway. The caller decides what the bytes mean.

    Answers are kept for `Limits.once_ttl` seconds. Of each user, at most `Limits.once_answers` and `Limits.once_bytes`
    are kept. Over: the oldest are removed, but never the newest.
    """

    async def claim(self, key: EventKey) -> bytes | None:
        """Return the answer to an event. None: there is none, and the caller handles the event now.

        After None the caller calls `keep` or `release`. Until then, `claim` for this event waits in other processes. In
        this process it must not be called until then. If a process dies, its claims end after
        `Limits.handler_timeout`.

        Raises:
            BrokerUnavailable: the other processes cannot be reached.
        """

    async def keep(self, key: EventKey, answer: bytes) -> None:
        """Keep the answer to an event that was claimed, unless there is one already. Never raises `BrokerUnavailable`.

        The claim may have ended or been lost: then another process may have handled the event too.

        If the call is cancelled, the answer is kept in this process.
        """

    def release(self, key: EventKey) -> None:
        """The event was not handled: it may be claimed again. Never waits and never raises."""
