"""What reads an accepted WebSocket."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from asgi_realtime.errors import ProtocolError
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.runtime.fair_turns import TextTurn


class Ending(NamedTuple):
    """How a WebSocket is closed."""

    code: int
    reason: str
    flush: bool
    """Whether what is queued is written before the close."""


class WebSocketReader(Protocol):
    """An Engine.IO session, or the client of a JSON gateway, as a `WebSocketCarrier` sees it.

    Messages come in order, one at a time. The reader ends the WebSocket by calling the carrier's `end`.
    """

    @property
    def outbox(self) -> Outbox:
        """What is written to the client."""

    @property
    def authenticating(self) -> bool:
        """Whether `ready` still has to let the client in. Until then messages are read in the server's own task."""

    @property
    def message_bytes(self) -> int:
        """Largest message that the client may send now."""

    def receive(self, message: str | bytes, now: float) -> bool:
        """Take one message. `now`: seconds, monotonic. True: no more is to be taken before `ready` returns.

        Raises:
            ProtocolError: if the client may not send it. `violated` is called with it.
        """

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next texts of a turn, as far as they are plain events. See `gateways.plain_events`."""

    async def ready(self) -> None:
        """Return once another message can be taken. It may be cancelled, and must return at the end."""

    def too_large(self, message: str | bytes) -> None:
        """End the WebSocket: a message is over `message_bytes`."""

    def violated(self, error: ProtocolError) -> None:
        """End the WebSocket: the client broke the protocol."""

    def failed(self) -> None:
        """End the WebSocket: `receive` raised another exception, which was logged."""

    def too_much(self) -> None:
        """End the WebSocket: the client sends too many frames without a message. Known on some servers only."""

    def begin_close(self) -> Ending:
        """Return how to close, before the close is written. Called at most once, and not if the client is gone."""

    def websocket_ended(self) -> None:
        """Nothing is left of the WebSocket. Called exactly once, also if the connection was lost."""
