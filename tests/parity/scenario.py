"""One app with python-socketio's API, and its clients. The same steps run on python-socketio and on this package."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import socketio as python_socketio

from asgi_realtime import socketio as asgi_realtime_socketio
from tests.support.servers import Serve

MODULES: tuple[Any, ...] = (python_socketio, asgi_realtime_socketio)
_PATIENCE = 5.0


class Client:
    """A python-socketio client that records the events it receives and acknowledges with `answer`."""

    def __init__(self, namespace: str) -> None:
        self.socket = python_socketio.AsyncClient(reconnection=False)
        self.namespace = namespace
        self.received: list[tuple[Any, ...]] = []
        self.answer: Any = None
        self._news = asyncio.Event()
        self.socket.on("*", self._receive, namespace=namespace)
        self.socket.on("disconnect", lambda reason: self._receive("disconnect", reason), namespace=namespace)
        self.socket.on("connect_error", lambda data: self._receive("connect_error", data), namespace=namespace)

    def _receive(self, event: str, *args: Any) -> Any:
        self.received.append((event, *args))
        self._news.set()
        return self.answer

    @property
    def sid(self) -> str:
        return str(self.socket.get_sid(self.namespace))

    async def emit(self, event: str, data: Any = None) -> None:
        await self.socket.emit(event, data, namespace=self.namespace)

    async def call(self, event: str, data: Any = None, timeout: float = _PATIENCE) -> Any:
        return await self.socket.call(event, data, namespace=self.namespace, timeout=timeout)

    async def end(self) -> None:
        """Disconnect. On long-polling the client's own disconnect would take half a minute."""
        engine = self.socket.eio
        loops = [task for task in (engine.read_loop_task, engine.write_loop_task) if task is not None]
        await engine.disconnect(abort=True)
        if engine.transport() == "polling":
            for task in loops:
                task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def until(self, event: str) -> None:
        """Wait until the client has received an event."""
        async with asyncio.timeout(_PATIENCE):
            while event not in [name for name, *_ in self.received]:
                self._news.clear()
                await self._news.wait()


class Scenario:
    """The server and the operations of a step. Session ids are named in the order of their clients."""

    def __init__(self, module: Any, sio: Any, url: str) -> None:
        self.module = module
        self.sio = sio
        self.clients: list[Client] = []
        self.url = url
        self._names: dict[str, str] = {}

    async def client(self, namespace: str = "/", *, auth: Any = None, transport: str = "websocket") -> Client:
        client = Client(namespace)
        self.clients.append(client)
        await client.socket.connect(
            self.url, auth=auth, namespaces=[namespace], transports=[transport], wait_timeout=_PATIENCE
        )
        self._names[client.sid] = f"sid{len(self._names)}"
        return client

    def named(self, value: Any) -> Any:
        """Replace session ids by names in a value, so that two runs can be compared."""
        if isinstance(value, str):
            for sid, name in self._names.items():
                value = value.replace(sid, name)
            return value
        if isinstance(value, list | tuple):
            return type(value)(map(self.named, value))
        if isinstance(value, dict):
            return {self.named(key): self.named(item) for key, item in value.items()}
        return value

    async def outcome(self, work: Callable[[], Any]) -> Any:
        """What a call returns, or the error it raises."""
        try:
            result = work()
            return self.named(await result if inspect.isawaitable(result) else result)
        except Exception as error:
            return f"{type(error).__name__}: {self.named(str(error))}"

    async def settle(self, *clients: Client) -> None:
        """Return when everything that was sent in either direction has arrived."""
        for client in clients or self.clients:
            if client.socket.connected:
                await client.call("settle")
                await self.sio.emit("settled", to=client.sid, namespace=client.namespace)
                await client.until("settled")
                client.received.remove(("settled",))


@asynccontextmanager
async def scenario(module: Any, serve: Serve) -> AsyncIterator[Scenario]:
    # python-socketio's tasks of a session end at its next heartbeat, so the interval is short.
    sio = module.AsyncServer(async_mode="asgi", ping_interval=0.3)
    for namespace in ("/", "/chat"):
        sio.on("settle", lambda sid: None, namespace=namespace)
        sio.on("connect", lambda sid, environ: None, namespace=namespace)
    server = await serve(module.ASGIApp(sio, on_shutdown=sio.shutdown))
    running = Scenario(module, sio, server.url)
    try:
        yield running
    finally:
        for client in running.clients:
            if client.socket.connected:
                await client.end()
