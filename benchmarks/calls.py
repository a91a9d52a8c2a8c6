"""`python -m benchmarks.calls`: the calls between a client's bytes and the handler of their event.

A real server, warmed up, receives one event. The program counts the calls of the interpreter from `data_received` of
the server to the handler: Python functions (resuming a coroutine counts as a call), and functions written in C.
`--list` names them.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from starlette.types import Receive, Scope, Send

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.uvicorn import WebSocketProtocol
from benchmarks.messages import WebSocket

_WARM_UP = 50
"""Events before the one that is counted."""
_SERVERS = {"WebSocketProtocol": WebSocketProtocol, "stock": "websockets-sansio"}
_EVENTS = {"Socket.IO": '42["move",{"x":1,"y":2}]', "JSON": '{"type":"move","data":{"x":1,"y":2}}'}


class Calls(NamedTuple):
    """The calls for one event."""

    python: list[str]
    c: list[str]


class Recorder:
    """Records the calls of this thread, from the arrival of bytes to the handler."""

    def __init__(self) -> None:
        self._recording = False
        self._calls = Calls([], [])
        self.handled = Calls([], [])
        """The calls for the last event handled."""

    def profile(self, frame: FrameType, kind: str, what: Any) -> None:
        """Record an event of `sys.setprofile`."""
        if kind == "call" and frame.f_back is not None and frame.f_back.f_code.co_name == "_read_ready__data_received":
            self._recording, self._calls = True, Calls([], [])
        if not self._recording:
            return
        if kind == "call":
            if frame.f_code.co_name == "move":
                self._recording, self.handled = False, self._calls
                return
            module = frame.f_globals["__name__"]
            self._calls.python.append(f"{module}.{frame.f_code.co_qualname}")
        elif kind == "c_call":
            self._calls.c.append(f"{what.__module__ or type(what.__self__).__name__}.{what.__name__}")


class Server(uvicorn.Server):
    """Reports when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.listening.set()


async def accept_all(handshake: Handshake) -> Identity:
    """Accept every client."""
    return Identity(user_id="ann")


class Namespace(SocketIOGateway):
    """The Socket.IO side."""

    @on("move")
    async def move(self, data: dict[str, int], connection: Connection) -> None:
        """Take an event, and answer it."""
        await connection.send("moved")


class Path(WebSocketGateway):
    """The JSON side."""

    @on("move")
    async def move(self, data: dict[str, int], connection: Connection) -> None:
        """Take an event, and answer it."""
        await connection.send("moved")


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that the middleware wraps. It receives no request."""


def send_events(port: int, kind: str) -> None:
    """Connect, and send each event after the previous one was answered. Blocks."""
    if kind == "Socket.IO":
        client = WebSocket(port, "/socket.io/?EIO=4&transport=websocket")
        client.until("0")
        client.send("40")
        client.until("40")
    else:
        client = WebSocket(port, "/json?token=any")
        client.until('{"type":"auth_success"')
    for _ in range(_WARM_UP + 1):
        client.send(_EVENTS[kind])
        client.until('{"type":"moved"' if kind == "JSON" else '42["moved"')
    client.close()


async def count(server_kind: str, kind: str) -> Calls:
    """Serve a client and return the calls for one of its events."""
    app = RealtimeMiddleware(
        host,
        gateways=[Namespace("/", authenticator=accept_all), Path("/json", authenticator=accept_all)],
        settings=Settings(jwt_secret="a secret for measurements, long enough"),
    )
    config = uvicorn.Config(app, port=0, log_level="warning", ws=_SERVERS[server_kind])  # type: ignore[arg-type]
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    recorder = Recorder()
    sys.setprofile(recorder.profile)
    try:
        await asyncio.to_thread(send_events, port, kind)
    finally:
        sys.setprofile(None)
    server.should_exit = True
    await serving
    return recorder.handled


def lines(*, names: bool) -> Iterator[str]:
    """Count on both servers, for both dialects."""
    yield "| server | wire | Python calls | C calls |\n|---|---|---|---|"
    for server in _SERVERS:
        for kind in _EVENTS:
            calls = asyncio.run(count(server, kind))
            yield f"| {server} | {kind} | {len(calls.python)} | {len(calls.c)} |"
            if names:
                yield "\n".join((*calls.python, "", *calls.c, ""))


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name them")
    for line in lines(names=parser.parse_args().list):
        print(line, flush=True)


if __name__ == "__main__":
    main()
