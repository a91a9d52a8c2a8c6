"""python-socketio's own client, with the methods of `NodeClient`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import socketio

from asgi_realtime.values.json import Json
from tests.support.node_client import PATIENCE, ConnectRefused, Disconnected, Received

NO_ANSWER: Final = object()
"""As `PythonClient.answer`: acknowledge nothing."""


class PythonClient:
    """One `socketio.AsyncClient`. `events` lists all events received, in order."""

    def __init__(self) -> None:
        self._socket = socketio.AsyncClient(reconnection=False)
        self._changed = asyncio.Condition()
        self.events: list[Received] = []
        self.unread: list[Received] = []
        self.disconnects: list[Disconnected] = []
        """Every `disconnect` it received, in order."""
        self.answer: object = None
        """What it acknowledges events with. A tuple is several values."""
        self._ended = asyncio.Event()
        self._namespace = "/"
        self._refusal: Json = None

    async def connect(
        self,
        url: str,
        namespace: str = "/",
        *,
        auth: Json = None,
        transports: Sequence[str] = ("polling", "websocket"),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Connect. With both transports, wait for the upgrade.

        Raises:
            ConnectRefused: the server or the gateway refused the client.
        """
        self._namespace = namespace
        self._socket.on("*", self._take, namespace=namespace)
        self._socket.on("connect_error", self._refused, namespace=namespace)
        self._socket.on("disconnect", self._disconnected, namespace=namespace)
        try:
            await self._socket.connect(
                url,
                namespaces=[namespace],
                auth=auth,
                transports=list(transports),
                headers=dict(headers or {}),
                wait_timeout=10,  # its default of 1 s is too short on a busy machine
            )
        except socketio.exceptions.ConnectionError as error:
            refusal = self._refusal if isinstance(self._refusal, dict) else {"message": str(error)}
            raise ConnectRefused(refusal["message"], refusal.get("data")) from error

    @property
    def transport(self) -> str:
        """`polling` or `websocket`."""
        name: str = self._socket.transport()
        return name

    async def emit(self, event: str, *args: Json) -> None:
        """Send an event without asking for an ack."""
        await self._socket.emit(event, args, namespace=self._namespace)

    async def call(self, event: str, *args: Json) -> list[Json]:
        """Send an event and return the values of its acknowledgement.

        Raises:
            TimeoutError: no acknowledgement came in time.
        """
        answer: asyncio.Future[list[Json]] = asyncio.get_running_loop().create_future()
        await self._socket.emit(
            event, args, namespace=self._namespace, callback=lambda *values: answer.set_result(list(values))
        )
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def expect(self, event: str) -> Received:
        """Wait for an event of this name that was not taken yet, and take it. Others stay in their order."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: any(received.event == event for received in self.unread))
        received = next(received for received in self.unread if received.event == event)
        self.unread.remove(received)
        return received

    async def next(self) -> Received:
        """Wait for the next event that was not taken yet, and take it."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.unread)
        return self.unread.pop(0)

    async def disconnection(self) -> str:
        """Wait until the socket is disconnected and return the reason, such as `server disconnect`."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.disconnects)
        return self.disconnects[-1].reason

    async def disconnect(self) -> None:
        """Disconnect."""
        engine = self._socket.eio
        await self._socket.disconnect()
        self._ended.set()
        for task in (engine.read_loop_task, engine.write_loop_task):
            if task is not None:
                task.cancel()  # they would wait for half a minute after a close packet

    async def _take(self, event: str, *args: Json) -> object:
        async with self._changed:
            received = Received(event, list(args))
            self.events.append(received)
            self.unread.append(received)
            self._changed.notify_all()
        if self.answer is NO_ANSWER:
            await self._ended.wait()
            return None
        return self.answer

    async def _disconnected(self, reason: str) -> None:
        # The library reconnects after a lost transport, but not after a packet that ends the connection.
        async with self._changed:
            seen = tuple(received.event for received in self.events)
            self.disconnects.append(Disconnected(reason, reason == "transport error", seen))
            self._changed.notify_all()

    def _refused(self, data: Json = None) -> None:
        self._refusal = data
