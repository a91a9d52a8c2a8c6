"""Real ASGI servers on the test's event loop, so that leaks in the server process are detected."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal, Protocol, TypeAlias, cast

import hypercorn.asyncio
import uvicorn
from hypercorn.config import Config as HypercornConfig
from starlette.types import ASGIApp

from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.waiting import until
from tests.support.wrapped_send import WrappedSend

Implementation: TypeAlias = Literal["uvicorn", "uvicorn-wsproto", "WebSocketProtocol", "hypercorn", "plain"]
"""The server that a test runs on.

- `uvicorn`: with h11 or httptools, and its sans-I/O WebSocket implementation.
- `uvicorn-wsproto`: uvicorn with wsproto.
- `WebSocketProtocol`: uvicorn with `--ws asgi_realtime.uvicorn:WebSocketProtocol`.
- `plain`: like `uvicorn`, but only ASGI's `send` is available, as on a server that the package does not recognise.
"""
IMPLEMENTATIONS: tuple[Implementation, ...] = ("uvicorn", "uvicorn-wsproto", "WebSocketProtocol", "hypercorn")
"""For `@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)`."""

STOP_TIMEOUT = 10.0
GRACE = 2.0
"""Seconds that a server which stops waits for its clients."""


@dataclasses.dataclass(frozen=True)
class LiveServer:
    """Where a running server listens, and how to stop it before the test ends."""

    port: int
    stop: Callable[[], Awaitable[None]]

    @property
    def url(self) -> str:
        """For example `http://127.0.0.1:40001`, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        """For example `ws://127.0.0.1:40001`, without a slash at the end."""
        return f"ws://127.0.0.1:{self.port}"


class Serve(Protocol):
    """The type of the `serve` fixture. `port` 0 is a free one; `root_path` is the prefix of a proxy.

    Without an implementation the server is the one that `pytest --server` names.
    """

    async def __call__(
        self, app: ASGIApp, implementation: Implementation | None = None, *, port: int = 0, root_path: str = ""
    ) -> LiveServer: ...


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp, implementation: Implementation = "uvicorn", *, port: int = 0, root_path: str = ""
) -> AsyncIterator[LiveServer]:
    """Run an app until the block ends; it listens when the block starts.

    Raises:
        RuntimeError: the app did not start, for instance because its lifespan start-up failed.
    """
    # With its protocol named: asyncio turns Nagle's delay off (40 ms a request) only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    number = int(listener.getsockname()[1])
    begin = _hypercorn if implementation == "hypercorn" else _uvicorn
    app = WrappedSend(app) if implementation == "plain" else app
    with listener:
        stop = await begin(app, listener, implementation, root_path)
        try:
            yield LiveServer(number, stop)
        finally:
            await stop()


WEBSOCKETS: dict[Implementation, Any] = {
    "uvicorn": "websockets-sansio",
    "plain": "websockets-sansio",
    "uvicorn-wsproto": "wsproto",
    "WebSocketProtocol": WebSocketProtocol,
}


class UvicornServer(uvicorn.Server):
    """A server that leaves signals to pytest, and signals when it listens or has failed to start."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True  # as older versions do instead of exiting
        finally:
            self.listening.set()
        if self.should_exit:
            raise RuntimeError("the app did not start")

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in the order of uvicorn, which looks only each 0.1 s whether the last client has gone."""
        state = self.server_state
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(state.connections):
            connection.shutdown()
        try:
            await until(lambda: not state.connections and not state.tasks, seconds=GRACE)
            for server in self.servers:
                await server.wait_closed()
        except TimeoutError:
            for task in state.tasks:
                task.cancel()
        await self.lifespan.shutdown()


async def _uvicorn(
    app: ASGIApp, listener: socket.socket, implementation: Implementation, root_path: str
) -> Callable[[], Awaitable[None]]:
    server = UvicornServer(
        uvicorn.Config(
            cast("Any", app),
            ws=WEBSOCKETS[implementation],
            root_path=root_path,
            log_level="warning",
        )
    )
    serving = asyncio.create_task(server.serve([listener]), name="uvicorn")
    await server.listening.wait()
    if not server.started:
        await serving

    async def stop() -> None:
        server.stopping.set()
        await asyncio.wait_for(serving, STOP_TIMEOUT)

    return stop


async def _hypercorn(
    app: ASGIApp, listener: socket.socket, implementation: Implementation, root_path: str
) -> Callable[[], Awaitable[None]]:
    config = HypercornConfig()
    config.bind = [f"fd://{listener.detach()}"]
    config.root_path = root_path
    config.graceful_timeout = GRACE
    ending = asyncio.Event()
    listening = asyncio.Event()

    async def wait_for_end() -> None:
        listening.set()  # Hypercorn waits for this trigger when its lifespan has started and it listens.
        await ending.wait()

    serving = asyncio.create_task(
        hypercorn.asyncio.serve(cast("Any", app), config, shutdown_trigger=wait_for_end), name="hypercorn"
    )
    waiting = asyncio.create_task(listening.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not listening.is_set():
        waiting.cancel()
        try:
            await serving
        except Exception as error:
            raise RuntimeError("the app did not start") from error

    async def stop() -> None:
        ending.set()
        await asyncio.wait_for(serving, STOP_TIMEOUT)

    return stop
