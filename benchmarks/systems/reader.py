"""An app that accepts any message and reports its cost: processor time, memory, and how long others waited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_realtime import (
    Connection,
    EventsGateway,
    FlatJSONDialect,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.gateways.base import Gateway

SETTINGS = Settings(
    jwt_secret="a secret for measurements, long enough",
    limits=Limits(event_rate=1e6, event_burst=1_000_000, user_event_rate=1e6, user_event_burst=1_000_000),
)
_INTERVAL = 0.002


class _Probe:
    """Runs repeatedly. The processor time between two runs is the time for which the loop was blocked.

    Wall-clock time is not used: time of other processes does not count.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = time.thread_time()
        self.longest = 0.0
        self._look()

    def _look(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._before)
        self._before = now
        self._loop.call_later(_INTERVAL, self._look)


class _Taking(Gateway):
    @on("take")
    async def take(self, value: Any) -> None:
        """Ignore the message."""

    @on("echo")
    async def echo(self, value: Any, connection: Connection) -> None:
        """Send the message back."""
        await connection.send("echo", value)

    @on("numbers")
    async def numbers(self, value: list[Any]) -> None:
        """Validate the message."""


class _SocketIO(_Taking, SocketIOGateway):
    pass


class _JSON(_Taking, WebSocketGateway):
    pass


class _FlatJSON(_Taking, WebSocketGateway):
    wire = FlatJSONDialect()


def _figures(request: Request) -> JSONResponse:
    probe: _Probe = request.app.state.probe
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    figures = {
        "cpu": time.process_time(),
        "longest": probe.longest,
        "peak": int(status["VmHWM"].split()[0]),
        "now": int(status["VmRSS"].split()[0]),
    }
    probe.longest = 0.0
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    return JSONResponse(figures)


@contextlib.asynccontextmanager
async def _lifespan(served: Starlette) -> AsyncIterator[None]:
    served.state.probe = _Probe()
    yield


app = RealtimeMiddleware(
    Starlette(routes=[Route("/figures", _figures)], lifespan=_lifespan),
    gateways=[_SocketIO("/"), EventsGateway(), _JSON("/json"), _FlatJSON("/flat")],
    settings=SETTINGS,
)
