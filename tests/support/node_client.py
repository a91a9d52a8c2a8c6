"""npm's stock socket.io-client, driven from Python: one Node process with any number of sockets."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from asgi_realtime.values.json import Json
from tests.support.node_program import node_program
from tests.support.paths import WIRE

POSITION = re.compile(r"[0-9a-f]{16}-[0-9]+")
PROGRAM = WIRE.joinpath("client.mjs")
PATIENCE = 5.0
"""The longest time that a test waits for anything, in seconds."""


@dataclasses.dataclass(frozen=True)
class Received:
    """One event as a handler of the client received it. Binary values are `bytes`.

    A handler also gets the position as one more argument, which is not in `args`.
    """

    event: str
    args: list[Json]
    asks_for_ack: bool = False
    position: str | None = dataclasses.field(default=None, compare=False)

    @property
    def data(self) -> Json:
        """The first argument, or None."""
        return self.args[0] if self.args else None


@dataclasses.dataclass(frozen=True)
class Disconnected:
    """One `disconnect` as a handler of the client received it."""

    reason: str
    active: bool
    """Whether the client reconnects by itself."""
    seen: tuple[str, ...]
    """The events received before, by name."""


class ConnectRefused(Exception):
    """The client's `connect_error`: `data` of a refusal by Socket.IO, `status` of a refusal by HTTP."""

    def __init__(self, message: str, data: Json = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.status = status


class NodeClient:
    """One socket of npm's socket.io-client.

    `events` lists all events received, in order. `expect` takes events from `unread`.
    """

    def __init__(self, node: Node, number: int) -> None:
        self._node = node
        self.number = number
        self._changed = asyncio.Condition()
        self.events: list[Received] = []
        self.unread: list[Received] = []
        self.id: str | None = None
        self.recovered = False
        self.transport: str | None = None
        """`polling` or `websocket`."""
        self.connected = False
        self.disconnect_reason: str | None = None
        self.disconnects: list[Disconnected] = []
        """Every `disconnect` it received, in order."""
        self.refusal: ConnectRefused | None = None

    @property
    def event_names(self) -> list[str]:
        """The names of all events received, in order."""
        return [received.event for received in self.events]

    async def emit(self, event: str, *args: Json) -> None:
        """Send an event without asking for an ack."""
        await self.command("emit", event=event, args=args)

    async def call(self, event: str, *args: Json, timeout: float = PATIENCE) -> list[Json]:
        """Send an event and return the arguments of its ack.

        Raises:
            TimeoutError: no ack came in `timeout` seconds.
        """
        try:
            reply: list[Json] = await self.command("call", event=event, args=args, timeout=timeout)
        except RuntimeError as error:
            raise TimeoutError(f"no ack of {event}: {error}") from None
        return reply

    async def deliver(self, event: str, *args: Json) -> Json:
        """Send an event with `emitWithAck`, again as `retries` and `ackTimeout` say. Returns its answer."""
        async with asyncio.timeout(PATIENCE):
            return await self.command("deliver", event=event, args=args)

    async def answer(self, event: str, *args: Json) -> None:
        """From now on, acknowledge this event with these arguments."""
        await self.command("answer", event=event, args=args)

    async def expect(self, event: str, *, timeout: float = PATIENCE) -> Received:
        """Wait for an event of this name that was not taken yet, and take it. Others stay in their order."""

        def find() -> Received | None:
            return next((received for received in self.unread if received.event == event), None)

        await self._until(lambda: find() is not None, f"event {event!r}; unread: {self.unread}", timeout)
        received = find()
        assert received is not None
        self.unread.remove(received)
        return received

    async def next(self, *, timeout: float = PATIENCE) -> Received:
        """Wait for the next event that was not taken yet, and take it."""
        await self._until(lambda: self.unread, "an event", timeout)
        return self.unread.pop(0)

    async def connection(self, *, timeout: float = PATIENCE) -> None:
        """Wait until the socket is connected.

        Raises:
            ConnectRefused: the attempt ended in `connect_error`.
        """
        await self._until(lambda: self.connected or self.refusal is not None, "connection", timeout)
        if self.refusal is not None:
            raise self.refusal

    async def upgraded(self) -> None:
        """Wait until the transport is a WebSocket."""
        await self._until(lambda: self.transport == "websocket", "upgrade", PATIENCE)

    async def disconnection(self, *, timeout: float = PATIENCE) -> str:
        """Wait until the socket is disconnected and return the reason, such as `io server disconnect`."""
        await self._until(lambda: self.disconnect_reason is not None, "disconnection", timeout)
        assert self.disconnect_reason is not None
        return self.disconnect_reason

    async def disconnect(self) -> None:
        """Disconnect."""
        await self.command("disconnect")

    async def drop(self) -> None:
        """Close the transport without a Socket.IO DISCONNECT packet."""
        await self.command("drop")

    async def vanish(self) -> None:
        """Give the transport up, so that the server does not notice."""
        await self.command("vanish")

    async def reconnect(self, *, auth: Json = None) -> None:
        """Connect the same socket again, as the application's `socket.connect()`, and wait for it."""
        self.refusal = self.disconnect_reason = None
        await self.command("reconnect", auth=auth)
        await self.connection()

    async def share(self, namespace: str, *, auth: Json = None) -> NodeClient:
        """Connect to another namespace on the same transport."""
        return await self._node.add("share", of=self.number, namespace=namespace, auth=auth)

    async def command(self, command: str, **arguments: Json) -> Json:
        return await self._node.request(command, socket=self.number, **arguments)

    async def _until(self, holds: Any, what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise TimeoutError(f"{what} did not come in {timeout} s") from None

    async def signalled(self, line: dict[str, Json]) -> None:
        async with self._changed:
            match line["signal"]:
                case "connect":
                    self.connected = True
                    self.disconnect_reason = None
                    self.id, self.recovered, self.transport = line["id"], line["recovered"], line["transport"]
                case "upgrade":
                    self.transport = line["transport"]
                case "disconnect":
                    self.connected = False
                    self.disconnect_reason = line["reason"]
                    seen = tuple(self.event_names)
                    self.disconnects.append(Disconnected(line["reason"], line["active"], seen))
                case "connect_error":
                    self.refusal = ConnectRefused(line["message"], line.get("data"), line["status"])
                case "event":
                    args: list[Json] = _unpack(line["args"])
                    last = args[-1] if args else None
                    position = last if isinstance(last, str) and POSITION.fullmatch(last) else None
                    if position is not None:
                        args.pop()
                    received = Received(line["event"], args, line["asksForAck"], position)
                    self.events.append(received)
                    self.unread.append(received)
            self._changed.notify_all()


class Node:
    """The Node process that holds the sockets of a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._requests: dict[int, asyncio.Future[Json]] = {}
        self._clients: dict[int, NodeClient] = {}

    async def connect(
        self,
        url: str,
        namespace: str = "/",
        *,
        auth: Json = None,
        transports: Sequence[str] = ("polling", "websocket"),
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        wait: bool = True,
        **options: Json,
    ) -> NodeClient:
        """Open a socket on a transport of its own and wait until it is connected.

        `options` are the client's own (`path`, `upgrade`, `reconnection`, `timeout`, `retries` ...); reconnection is
        off unless asked for. With `wait=False` the caller waits by `connection()`.

        Raises:
            ConnectRefused: the server or the gateway refused the client.
        """
        options |= {"transports": transports, "extraHeaders": headers or {}, "query": query or {}}
        return await self.add("open", wait=wait, url=url, namespace=namespace, options=options, auth=auth)

    async def add(self, command: str, *, wait: bool = True, **arguments: Json) -> NodeClient:
        client = NodeClient(self, next(self._numbers))
        self._clients[client.number] = client
        await client.command(command, **arguments)
        if wait:
            await client.connection()
        return client

    async def request(self, command: str, **arguments: Json) -> Json:
        assert self._process.stdin is not None
        number = next(self._numbers)
        reply = self._requests[number] = asyncio.get_running_loop().create_future()
        line = {"command": command, "request": number, **_pack(arguments)}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()
        return _unpack(await reply)

    async def read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for text in self._process.stdout:
                await self._hear(json.loads(text))
        finally:
            for reply in self._requests.values():
                reply.set_exception(ConnectionError("the Node process ended; see its standard error"))

    async def _hear(self, line: dict[str, Json]) -> None:
        if "signal" in line:
            await self._clients[line["socket"]].signalled(line)
        elif "error" in line:
            self._requests.pop(line["request"]).set_exception(RuntimeError(line["error"]))
        else:
            self._requests.pop(line["request"]).set_result(line["result"])


def node_process() -> AbstractAsyncContextManager[Node]:
    """Run the Node process until the block ends; its sockets end with it."""
    return node_program(PROGRAM, Node)


def _pack(value: Json) -> Json:
    if isinstance(value, bytes):
        return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: _pack(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_pack(inner) for inner in value]
    return value


def _unpack(value: Json) -> Json:
    if isinstance(value, dict):
        if isinstance(value.get("$binary"), str):
            return base64.b64decode(value["$binary"])
        return {key: _unpack(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unpack(inner) for inner in value]
    return value
