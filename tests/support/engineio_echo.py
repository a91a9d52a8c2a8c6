"""An Engine.IO server whose application echoes, with access to its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio import client

from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.settings import Settings
from asgi_realtime.transports.engineio import EngineIO, Session
from tests.support.servers import Implementation, LiveServer, Serve

POLLING = {"EIO": "4", "transport": "polling"}


class Echo:
    """Echoes each message. While `gate` is closed, it accepts no further messages."""

    authenticated = True

    def __init__(self, session: Session) -> None:
        self.session = session
        self.received: list[str | bytes] = []
        self.reasons: list[str] = []
        self.ended = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def receive_texts(self, turn: TextTurn) -> None:
        """Leave every text to `receive`."""

    def receive(self, message: str | bytes, now: float) -> bool:
        self.received.append(message)
        self.send(message)
        return not self.gate.is_set()

    async def ready(self) -> None:
        await self.gate.wait()

    def session_ended(self, reason: str) -> None:
        self.reasons.append(reason)
        self.ended.set()
        self.gate.set()

    def send(self, message: str | bytes) -> None:
        self.session.push(Frame("4" + message if isinstance(message, str) else message))


class EchoServer:
    """The ASGI app, and its client side once it is served."""

    def __init__(
        self,
        *,
        application: type[Echo] = Echo,
        origins: tuple[str, ...] = (),
        limits: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._application = application
        self.tasks = Tasks()
        self.wheel = TimerWheel(tick=0.02)
        self.echoes: list[Echo] = []
        self.engine = EngineIO(
            settings=Settings(limits=Limits(**(limits or {})), **settings),
            origins=OriginPolicy(origins),
            open=self._open,
            wheel=self.wheel,
            tasks=self.tasks,
            meter=Meter(),
        )
        self.calls = 0
        self.idle = asyncio.Event()
        """Set while no request and no WebSocket is being served."""
        self.waiting = asyncio.Event()
        """Set when the engine waits for a message or a disconnect of a client."""
        self.accepting = asyncio.Event()
        """While it is not set, the server does not complete the acceptance of WebSockets."""
        self.accepting.set()
        self.held_acceptances = 0
        self.live: LiveServer
        self.http: httpx.AsyncClient

    def _open(self, session: Session) -> Echo:
        echo = self._application(session)
        self.echoes.append(echo)
        return echo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError

        async def watched() -> Message:
            self.waiting.set()
            return await receive()

        self.calls += 1
        self.idle.clear()
        try:
            await self.engine(scope, watched, send if self.accepting.is_set() else self._held(send))
        finally:
            self.calls -= 1
            if not self.calls:
                self.idle.set()

    def _held(self, send: Send) -> Send:
        async def held(message: Message) -> None:
            if message["type"] == "websocket.accept":
                self.held_acceptances += 1
                await self.accepting.wait()
            await send(message)

        return held

    @property
    def echo(self) -> Echo:
        """The application of the newest session."""
        return self.echoes[-1]

    @property
    def url(self) -> str:
        return f"{self.live.url}/engine.io/"

    async def open(self, **query: str) -> str:
        """Open a polling session. Returns its id."""
        response = await self.http.get(self.url, params=POLLING | query)
        assert response.status_code == 200
        assert response.text[0] == "0"
        return str(json.loads(response.text[1:])["sid"])

    async def poll(self, sid: str) -> httpx.Response:
        return await self.http.get(self.url, params=POLLING | {"sid": sid})

    async def start_poll(self, sid: str) -> asyncio.Task[httpx.Response]:
        """A poll that the server has already received."""
        self.waiting.clear()
        poll = asyncio.create_task(self.poll(sid))
        await self.waiting.wait()
        return poll

    async def post(self, sid: str, payload: Any) -> httpx.Response:
        return await self.http.post(self.url, params=POLLING | {"sid": sid}, content=payload)

    def connect(self, sid: str | None = None, query: str = "", **options: Any) -> client.connect:
        """A WebSocket, to open a session or to upgrade one."""
        upgraded = "" if sid is None else f"&sid={sid}"
        return self.connect_to(f"?EIO=4&transport=websocket{upgraded}{query}", **options)

    def connect_to(self, query: str, **options: Any) -> client.connect:
        """A WebSocket with any query."""
        return client.connect(f"{self.live.websocket_url}/engine.io/{query}", **options)

    async def probe(self, sid: str) -> client.ClientConnection:
        """Open a WebSocket for a session and probe it: an upgrade without its last packet."""
        websocket = await self.connect(sid)
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        return websocket


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The package's log records, without asyncio's warnings about slow callbacks."""
    return [record.message for record in caplog.records if record.name == "asgi_realtime"]


@contextlib.asynccontextmanager
async def echo_server(
    serve: Serve, implementation: Implementation | None = None, **options: Any
) -> AsyncIterator[EchoServer]:
    """Serve an echo. At the end of the block all sessions end, and the test fails if any resource is left."""
    server = EchoServer(**options)
    server.live = await serve(server, implementation)
    async with httpx.AsyncClient(timeout=20) as server.http:
        yield server
        for session in list(server.engine.sessions.values()):
            session.abort("forced close")
        await server.engine.aclose()
    assert not server.engine.sessions
    assert all(len(echo.reasons) == 1 for echo in server.echoes)
    server.wheel.close()
