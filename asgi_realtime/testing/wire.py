"""The contract of the wire between a test's client and the application."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

Transport: TypeAlias = Literal["websocket", "polling"]

NO_STATUS = 1005
ABNORMAL = 1006
"""What RFC 6455, section 7.4.1, calls a close without a code, and an end without a close."""


class Closed(NamedTuple):
    """How a connection ended: a WebSocket close code (1005: none was given; 1006: no close at all) and a reason."""

    code: int
    reason: str = ""


class WireRefused(Exception):
    """The application refused the transport: an HTTP status and the response's body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class WireListener(Protocol):
    """Receives what happens on a wire."""

    def received(self, message: str | bytes) -> None:
        """A message came."""

    def ended(self, closed: Closed, error: BaseException | None) -> None:
        """Nothing comes any more; `error` is what the application raised."""


class Wire(Protocol):
    """A transport: messages to the application, in order, and the end."""

    @property
    def idle(self) -> bool:
        """Whether the application has taken everything and waits for more (or has ended)."""

    async def until_idle(self) -> None:
        """Return when it is idle."""

    async def open(self) -> None:
        """Connect. Raises `WireRefused`, or what the application raised."""

    def send(self, message: str | bytes) -> None:
        """Send a message."""

    async def close(self, code: int) -> None:
        """End the connection from this side, and wait until the application is done with it."""
