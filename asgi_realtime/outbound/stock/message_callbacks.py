"""Gives the messages of a stock uvicorn to a reader as they are parsed, instead of to a coroutine that waits for them.

uvicorn puts each message into a queue, pauses the transport, and resumes it when `receive` has taken the message. Here,
an object with the methods of that queue calls the reader. So a message needs no turn of the event loop and no change of
what the loop polls, and an idle WebSocket has no coroutine that waits in `receive`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from asgi_realtime.outbound.frames_extension import Reader
from asgi_realtime.runtime.fair_turns import MESSAGES_A_TURN, SECONDS_A_TURN


class MessageCallbacks:
    """Takes the place of `queue` in a protocol object of uvicorn. All calls are on the event loop's thread."""

    __slots__ = ("_left", "_protocol", "_reader", "_resumed", "_until", "_waiting", "_yielding", "ended", "paused")

    def __init__(self, protocol: Any, reader: Reader, resumed: Callable[[], None]) -> None:
        """Give messages to a reader. `resumed` is called when more may be parsed again."""
        self._protocol = protocol
        self._reader: Reader | None = reader
        self._resumed = resumed
        self._waiting: deque[Any] | None = None
        self._left = MESSAGES_A_TURN
        self._until = 0.0
        self._yielding = False
        self.paused = False
        """Whether nothing more is to be parsed."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the WebSocket has ended, so that the ASGI coroutine may return."""

    # For uvicorn: what it uses of its queue

    def put_nowait(self, event: Any) -> None:
        """Take an ASGI event."""
        self._protocol.read_paused = True  # else uvicorn pauses the transport after each message
        if event["type"] != "websocket.receive":
            # Not now: uvicorn has more to do in this call, and the transport is closed at the end of it.
            asyncio.get_running_loop().call_soon(self._put, event)
        else:
            self._put(event)

    def empty(self) -> bool:
        """Whether more may be parsed."""
        return not self.paused

    async def get(self) -> NoReturn:
        """Messages come by callback."""
        raise RuntimeError("this WebSocket is served by a gateway: nothing is to be received from it")

    # For the reader

    def begin_turn(self) -> None:
        """Bytes have come: their client has a turn."""
        self._left, self._until = MESSAGES_A_TURN, 0.0

    def pause(self) -> None:
        """Give no message to the reader until `resume`."""
        self.paused = True
        self._yielding = False

    def resume(self) -> None:
        """Go on, beginning with what has come in the meantime."""
        self.paused = False
        self.begin_turn()
        while self._waiting and not self.paused:
            self._give(self._waiting.popleft())
        if not self.paused:
            self._waiting = None
            self._resumed()

    def close(self) -> None:
        """The reader has ended: call it no more, and let the ASGI coroutine return.

        What was not parsed yet is parsed later, because the client's answer to the close may be there.
        """
        self._reader = self._waiting = None
        if self.paused:
            asyncio.get_running_loop().call_soon(self._resumed)
        self.paused = self._yielding = False
        self._resumed = _nothing
        protocol = self._protocol
        protocol.read_paused = True
        protocol.queue = _ENDED  # no reference cycle may remain
        if not self.ended.done():
            self.ended.set_result(None)

    def _put(self, event: Any) -> None:
        if self.paused or self._waiting:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(event)
        else:
            self._give(event)

    def _give(self, event: Any) -> None:
        reader = self._reader
        if reader is None:
            return
        if event["type"] != "websocket.receive":
            self._reader = None
            reader.websocket_closed(event.get("code", 1005), event.get("reason") or "")
            return
        self._left -= 1
        if not self._until:
            self._until = monotonic() + SECONDS_A_TURN
        elif not self._left or monotonic() > self._until:
            self.paused = self._yielding = True
            asyncio.get_running_loop().call_soon(self._continue)
        text = event.get("text")
        reader.received(bytes(event["bytes"]) if text is None else text)

    def _continue(self) -> None:
        if self._yielding:
            self._yielding = False
            self.resume()


class _Ended:
    """The queue of a WebSocket that has ended."""

    __slots__ = ()

    def put_nowait(self, event: Any) -> None:
        """Drop an event."""

    def empty(self) -> bool:
        return True


_ENDED = _Ended()


def _nothing() -> None:
    """Do nothing."""
