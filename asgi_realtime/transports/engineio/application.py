"""The contract of the application that receives the messages of a session."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.runtime.fair_turns import TextTurn


class Application(Protocol):
    """Receives the messages of a session: a Socket.IO peer, for example."""

    def receive(self, message: str | bytes, now: float) -> bool:
        """Take one message, in the order sent. True: no more is to be taken before `ready` returns.

        `now`: seconds, monotonic.

        Raises:
            ProtocolError: to end the session, with a text for the log.
        """

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next packets of a turn, as far as they are plain events. See `gateways.plain_events`."""

    @property
    def authenticated(self) -> bool:
        """Whether the client is authenticated. Until then it may send small messages only."""

    async def ready(self) -> None:
        """Return once more can be taken; nothing is read from the client until then.

        It may be cancelled, and must return when the session has ended.
        """

    def session_ended(self, reason: str) -> None:
        """The session has ended. Called exactly once, within the call that ended it.

        While the session is `State.CLOSING`, frames pushed in this call still reach the client.

        `reason` is one of "transport close" (the client went away), "client close" (it sent a close),
        "ping timeout", "parse error", "transport error", "too slow", "forced close" (`Session.close`).
        """
