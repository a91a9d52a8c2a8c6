"""Why a client has disconnected, in python-socketio's words."""

from __future__ import annotations


class Reason:
    """The `reason` a disconnect handler gets."""

    SERVER_DISCONNECT = "server disconnect"
    """The server disconnected the client."""
    CLIENT_DISCONNECT = "client disconnect"
    """The client disconnected."""
    PING_TIMEOUT = "ping timeout"
    """The client did not answer a ping."""
    TRANSPORT_CLOSE = "transport close"
    """The client's transport ended."""
    TRANSPORT_ERROR = "transport error"
    """The client's transport failed, or the client broke the protocol or did not read."""

    @classmethod
    def of(cls, reason: str) -> str:
        """python-socketio's word for a reason of this package."""
        return _WORDS.get(reason, reason)


_WORDS = {
    "client close": Reason.CLIENT_DISCONNECT,
    "forced close": Reason.SERVER_DISCONNECT,
    "parse error": Reason.TRANSPORT_ERROR,
    "too slow": Reason.TRANSPORT_ERROR,
}
