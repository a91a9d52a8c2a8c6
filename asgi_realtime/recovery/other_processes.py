"""Has another process end a connection whose client has returned to this one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import ConnectionId, GatewayName


class _End(msgspec.Struct, array_like=True, frozen=True, tag="end"):
    sender: str
    number: int
    gateway: GatewayName
    connection_id: ConnectionId
    owner: str


class _Ended(msgspec.Struct, array_like=True, frozen=True, tag="ended"):
    number: int


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_End | _Ended)


class OtherProcesses:
    """Sends requests to other processes, and answers theirs.

    Args:
        channel: carries them.
        end: ends an open connection of this process, if it is the owner that is named, and writes its session.
        seconds: how long an answer is awaited.
    """

    def __init__(
        self,
        channel: NodeChannel,
        tasks: Tasks,
        *,
        end: Callable[[GatewayName, ConnectionId, str], Awaitable[None]],
        seconds: float,
    ) -> None:
        self._channel = channel
        self._tasks = tasks
        self._end = end
        self._seconds = seconds
        self._number = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def start(self) -> None:
        """Begin on the running event loop."""
        self._waiting.clear()
        self._channel.listen(received=self._received, lost=self._lost)

    async def end_connection(self, node: str, gateway: GatewayName, connection_id: ConnectionId, owner: str) -> None:
        """Return when a process has ended a connection, or does not answer."""
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()

        def sent(count: int) -> None:
            if not count and not answer.done():
                answer.set_result(None)  # that process has ended

        request = _End(self._channel.node, number, gateway, connection_id, owner)
        self._channel.send(node, _encoder.encode(request), sent)
        try:
            await asyncio.wait([answer], timeout=self._seconds)
        finally:
            del self._waiting[number]

    def _received(self, message: bytes) -> None:
        try:
            found = _decoder.decode(message)
        except msgspec.DecodeError as error:
            self._tasks.failures.failed(None, "a message from another process cannot be read", error, traceback=False)
            return
        if isinstance(found, _End):
            self._tasks.spawn(self._answer(found), name="ending a connection")
        else:
            answer = self._waiting.get(found.number)
            if answer is not None and not answer.done():
                answer.set_result(None)

    async def _answer(self, request: _End) -> None:
        await self._end(request.gateway, request.connection_id, request.owner)
        self._channel.send(request.sender, _encoder.encode(_Ended(request.number)), lambda count: None)

    def _lost(self) -> None:
        """Messages may be lost: do not wait for answers."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(None)
