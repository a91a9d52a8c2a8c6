"""Protocol classes for uvicorn, and the scope extension `asgi_realtime.frames`.

`--ws asgi_realtime.uvicorn:WebSocketProtocol`: WebSockets, small and fast.
`--http asgi_realtime.uvicorn:HTTPProtocol`: uvicorn's own HTTP with a deadline for headers.

The names of the extension can be imported where uvicorn is not installed. See docs/reference/frame-transport.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from asgi_realtime.outbound.frames_extension import EXTENSION, FrameTransport, Reader, WriteListener
from asgi_realtime.protocols.rfc6455.deflate import deflate
from asgi_realtime.protocols.rfc6455.frames import encode
from asgi_realtime.runtime.budgets import Budget

if TYPE_CHECKING:
    from asgi_realtime.uvicorn.http import HTTPProtocol
    from asgi_realtime.uvicorn.protocol import WebSocketProtocol

__all__ = [
    # Protocol classes
    "WebSocketProtocol",
    "HTTPProtocol",
    # The frames extension
    "EXTENSION",
    "FrameTransport",
    "Reader",
    "WriteListener",
    "Budget",
    "encode",
    "deflate",
]

_MODULES = {
    "HTTPProtocol": "asgi_realtime.uvicorn.http",
    "WebSocketProtocol": "asgi_realtime.uvicorn.protocol",
}


def __getattr__(name: str) -> Any:
    # On first use, because uvicorn need not be installed.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
