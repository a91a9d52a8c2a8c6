"""uvicorn with the protocol class of ours, on the test's own event loop."""

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
"""Seconds anything may take that a test waits for."""


class Quick(WebSocketProtocol):
    """With time limits that a test can wait for."""

    __slots__ = ()
    handshake_timeout = 0.1
    close_timeout = 0.1
    shutdown_timeout = 0.1


class LeanServer(UvicornServer):
    """A server on a port of its own."""

    port: int


@contextlib.asynccontextmanager
async def lean(
    app: ASGIApp,
    *,
    protocol: type[WebSocketProtocol] = Quick,
    http: str = "h11",
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[LeanServer]:
    """Run an app; the options are uvicorn's."""
    options = {"ws_ping_interval": None, "log_config": None, "timeout_graceful_shutdown": 2, **options}
    config = uvicorn.Config(cast("Any", app), ws=protocol, http=cast("Any", http), **options)
    config.load()
    config.ssl = tls
    server = LeanServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = int(listener.getsockname()[1])
        serving = asyncio.create_task(server.serve([listener]), name="uvicorn")
        await server.listening.wait()
        try:
            yield server
        finally:
            server.stopping.set()
            await asyncio.wait_for(serving, PATIENCE)
