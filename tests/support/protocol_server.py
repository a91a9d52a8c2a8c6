"""uvicorn with the package's WebSocket protocol class, on the event loop of the test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.servers import UvicornServer

PATIENCE = 10.0
"""The longest time that a test waits for anything, in seconds."""


class ShortTimeouts(WebSocketProtocol):
    """The protocol class with time limits of 0.1 s."""

    __slots__ = ()
    handshake_timeout = 0.1
    close_timeout = 0.1
    shutdown_timeout = 0.1


class ProtocolServer(UvicornServer):
    """A uvicorn server on a free port."""

    port: int


@contextlib.asynccontextmanager
async def protocol_server(
    app: ASGIApp,
    *,
    protocol: type[WebSocketProtocol] = ShortTimeouts,
    http: str = "h11",
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[ProtocolServer]:
    """Run an app until the block ends. The options are those of `uvicorn.Config`."""
    options = {"ws_ping_interval": None, "log_config": None, "timeout_graceful_shutdown": 2, **options}
    config = uvicorn.Config(cast("Any", app), ws=protocol, http=cast("Any", http), **options)
    config.load()
    config.ssl = tls
    server = ProtocolServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = int(listener.getsockname()[1])
        serving = asyncio.create_task(server.serve([listener]), name="uvicorn")
        await server.listening.wait()
        try:
            yield server
        finally:
            server.stopping.set()
            await asyncio.wait_for(serving, PATIENCE)
