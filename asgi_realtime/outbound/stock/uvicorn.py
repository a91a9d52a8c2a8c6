"""Recognises the protocol object of a stock uvicorn behind ASGI's `receive` or `send`."""

from __future__ import annotations

import sys
from typing import Any

from starlette.types import Receive, Send

_PROTOCOLS = (
    ("uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol"),
    ("uvicorn.protocols.websockets.wsproto_impl", "WSProtocol"),
)
"""The deprecated implementation is not among them: it reads and writes in tasks of its own."""


def protocol_behind(method: Send | Receive) -> Any:
    """The protocol object behind a `send` or `receive` of a WebSocket that is not closed. None: it is not known."""
    protocol = getattr(method, "__self__", None)
    if protocol is None:
        return None
    for module, name in _PROTOCOLS:
        loaded = sys.modules.get(module)
        if loaded is not None and type(protocol) is getattr(loaded, name, None):
            transport = getattr(protocol, "transport", None)
            if transport is not None and not transport.is_closing():
                return protocol
    return None
