"""`python -m benchmarks.observability.worker KIND`: an app with a kind of observation, measured in its own process.

It reads lines `WORK COUNT` from stdin, does so much of the work, and writes the processor time in seconds. The works:

- `event`: inbound events of one client, in bursts of sixteen, from the bytes to a handler that does not wait.
- `answered`: the same with a handler that sends its client an event.
- `waiting`: the same with a handler that waits once.
- `broadcast`, `broadcast 100`: to a room of one client, and to one of a hundred. The clients' sockets are written to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import uvicorn
from starlette.types import Receive, Scope, Send

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, WebSocketGateway, on
from asgi_realtime.lifecycle import transfers
from asgi_realtime.limits import Limits
from asgi_realtime.runtime import fair_turns
from asgi_realtime.uvicorn import WebSocketProtocol
from benchmarks.messages import WebSocket

BURST: Final = 16
MEMBERS: Final = 100
KINDS: Final = ("off", "metrics", "traced, not sampled", "traced, sampled")
WORKS: Final = ("event", "answered", "waiting", "broadcast", f"broadcast {MEMBERS}")
_READ_AFTER: Final = 50
"""Events that the buffers of a client's socket hold."""
_DATA: Final = {"text": "x" * 150}
_LIMITS: Final = Limits(
    event_rate=1e9, event_burst=10**9, user_event_rate=1e9, user_event_burst=10**9, sessions_per_address=1_000
)


class Room(WebSocketGateway):
    """Counts its events."""

    def __init__(self) -> None:
        super().__init__("/json", authenticator=accept)
        self.handled = 0

    async def on_connect(self, connection: Connection) -> None:
        """Enter the room that the client's name says."""
        await connection.join(connection.identity.user_id)

    @on("move")
    async def move(self, data: dict[str, int]) -> None:
        """Return at once."""
        self.handled += 1

    @on("ask")
    async def ask(self, data: dict[str, int], connection: Connection) -> None:
        """Answer at once."""
        self.handled += 1
        await connection.send("said", data)

    @on("wait")
    async def wait(self, data: dict[str, int]) -> None:
        """Wait for a turn of the loop."""
        await asyncio.sleep(0)  # the handler waits, which is measured
        self.handled += 1


async def accept(handshake: Handshake) -> Identity:
    """Accept every client. Its token is its name."""
    return Identity(user_id=handshake.query["token"])


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that the middleware wraps. It receives no request."""


def observation(kind: str) -> dict[str, Any]:
    """The arguments of `RealtimeMiddleware` for a kind."""
    if kind == "metrics":
        from prometheus_client import CollectorRegistry

        from asgi_realtime import PrometheusMetrics

        return {"metrics": PrometheusMetrics(CollectorRegistry())}
    if kind == "off":
        return {}
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    from asgi_realtime import OpenTelemetryTracing

    # No processor: an exporter costs what the host chooses.
    sampler = ALWAYS_ON if kind == "traced, sampled" else ALWAYS_OFF
    return {"tracing": OpenTelemetryTracing(TracerProvider(sampler=sampler, shutdown_on_exit=False))}


class Server(uvicorn.Server):
    """Reports when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.listening.set()


def burst(event: str) -> bytes:
    """The frames of sixteen events."""
    text = f'{{"type":"{event}","data":{{"x":1,"y":2}}}}'.encode()
    mask = os.urandom(4)
    masked = bytes([byte ^ mask[place % 4] for place, byte in enumerate(text)])
    return (bytes((0x81, 0x80 | len(text))) + mask + masked) * BURST


class Worker:
    """A running server, and clients of it in the same process."""

    def __init__(self, gateway: Room, app: RealtimeMiddleware, server: Server) -> None:
        self._gateway = gateway
        self._broadcaster = app.broadcaster
        self._server = server
        self._clients: list[WebSocket] = []
        self._protocol: Any = None
        self.works: Mapping[str, Callable[[int], Awaitable[float]]] = {
            "event": lambda count: self._events("move", count),
            "answered": self._answered,
            "waiting": lambda count: self._events("wait", count),
            "broadcast": lambda count: self._broadcasts("alone", count),
            f"broadcast {MEMBERS}": lambda count: self._broadcasts("member", count),
        }

    async def connect(self) -> None:
        """Connect the clients: first the one that sends."""
        port = self._server.servers[0].sockets[0].getsockname()[1]

        def enter(name: str) -> None:
            client = WebSocket(port, f"/json?token={name}")
            client.until('{"type":"auth_success"')
            self._clients.append(client)

        await asyncio.to_thread(enter, "alone")
        [self._protocol] = self._server.server_state.connections
        for _ in range(MEMBERS):
            await asyncio.to_thread(enter, "member")

    async def _events(self, event: str, count: int) -> float:
        data, expected = burst(event), self._gateway.handled
        began = time.process_time()
        for _ in range(count // BURST):
            expected += BURST
            self._protocol.data_received(data)
            while self._gateway.handled < expected:  # noqa: ASYNC110 - setting an event would be measured too
                await asyncio.sleep(0)  # the handlers run
        return time.process_time() - began

    async def _answered(self, count: int) -> float:
        used, most = 0.0, _READ_AFTER // BURST * BURST
        for first in range(0, count, most):
            some = min(most, count - first)
            used += await self._events("ask", some)
            for _ in range(some):
                self._clients[0].until('{"type":"said"')
        return used

    async def _broadcasts(self, room: str, count: int) -> float:
        used, clients = 0.0, self._clients[:1] if room == "alone" else self._clients[1:]
        for first in range(0, count, _READ_AFTER):
            some = min(_READ_AFTER, count - first)
            began = time.process_time()
            for _ in range(some):
                await self._broadcaster.broadcast_to_room(room, "said", _DATA)
                await asyncio.sleep(0)  # the broadcasts of one tick are written together
            used += time.process_time() - began
            for client in clients:
                for _ in range(some):
                    client.until('{"type":"said"')
        return used


async def _until_end(worker: Worker, instructions: bool) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        work, _, count = line.strip().rpartition(" ")
        if instructions:
            _instrument("on")
        used = await worker.works[work](int(count))
        if instructions:
            _instrument("off")
        print(used, flush=True)


def _instrument(state: str) -> None:
    control = shutil.which("callgrind_control")
    assert control is not None
    subprocess.run([control, "-i", state, str(os.getpid())], check=True, stdout=subprocess.DEVNULL)


async def serve(kind: str, *, instructions: bool) -> None:
    """Serve until stdin ends."""
    if instructions:
        # Callgrind makes the work fifty times slower, so what is done once a second would be counted fifty times.
        transfers.TRANSFER_SECONDS = 3_600.0  # type: ignore[misc]
        fair_turns.SECONDS_A_TURN = 3_600.0  # type: ignore[misc]
        gc.disable()  # one full collection more or less would be a few per cent of the work
    gateway = Room()
    settings = Settings(jwt_secret="a secret for measurements, long enough", limits=_LIMITS)
    app = RealtimeMiddleware(host, gateways=[gateway], settings=settings, **observation(kind))
    server = Server(uvicorn.Config(app, port=0, log_level="warning", ws=WebSocketProtocol, ws_ping_interval=None))
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    worker = Worker(gateway, app, server)
    await worker.connect()
    print("ready", flush=True)
    await _until_end(worker, instructions)
    server.should_exit = True
    await serving


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.observability.worker", description="measured by its parent"
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--instructions", action="store_true", help="for callgrind: instrument only the work")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.kind, instructions=options.instructions))


if __name__ == "__main__":
    main()
