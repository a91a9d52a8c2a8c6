"""Objects of uvicorn for tests that need no connection."""

from __future__ import annotations

from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState


def websocket_protocol() -> Any:
    """The object that serves a WebSocket on a stock uvicorn. It is not connected. Needs a running event loop."""
    config = uvicorn.Config(FastAPI(), log_config=None)
    config.load()
    return WebSocketsSansIOProtocol(config, ServerState(), {})
