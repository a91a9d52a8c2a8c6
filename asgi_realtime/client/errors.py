"""What clients raise."""

from __future__ import annotations


class ClientError(Exception):
    """The base class of what a client raises. An answer that does not come in time is a `TimeoutError`."""


class NotConnected(ClientError):
    """There is no connection, or it was lost before the answer came: the event may have been handled, or not."""


class Refused(ClientError):
    """The server refused the client, or one of its events. `message` is for people, `code` for programs.

    `code` is None if the server gave none.
    """

    def __init__(self, message: str, code: str | int | None = None) -> None:
        super().__init__(message if code is None else f"{code}: {message}")
        self.message = message
        self.code = code


class Closed(ClientError):
    """The server has ended the connection, and the client does not return.

    `code` is the close code of the WebSocket. It is None for Socket.IO, which does not tell it to clients, and after
    `Reconnection.attempts` attempts in vain.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip() if code is not None else reason)
        self.code = code
        self.reason = reason
