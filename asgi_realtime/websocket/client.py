"""One client on a JSON WebSocket: a loop that hands on what comes. What is said there is the gateway's matter."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Send

from asgi_realtime.budgets import Budget, Budgets
from asgi_realtime.close_codes import TOO_SLOW, check_close
from asgi_realtime.connection import Connection
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.errors import InvalidMessage, ProtocolError, Refusal, TooLarge, Unauthorized
from asgi_realtime.frame_transport import FrameTransport
from asgi_realtime.frame_writing import FrameWriter
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.inbox import Inbox
from asgi_realtime.limits import TOO_MUCH_CONTROL
from asgi_realtime.messages import Frame, Handshake, Json
from asgi_realtime.outbox import Outbox
from asgi_realtime.sinks import Sink
from asgi_realtime.stock_reading import guard
from asgi_realtime.text import is_longer, repaired
from asgi_realtime.turns import Turn
from asgi_realtime.websocket.newcomers import Newcomers
from asgi_realtime.writer import Writer

logger = logging.getLogger("asgi_realtime")

_IDLE_CHECK = 60.0
"""Seconds after which a client's silence is looked at again: one that ended is not remembered for longer."""


class WebSocketClient:
    """One client on a JSON WebSocket: its transport, and its connection once it is let in.

    The token comes with the handshake, or in a first `auth` frame within the gateway's
    `auth_timeout`. Once it is let in, a server that has the extension (see `frame_transport`) calls
    us, and no coroutine waits any more; elsewhere the server's coroutine reads to the end.
    """

    __slots__ = (
        "__weakref__",
        "_attempts_due",
        "_budgets",
        "_connection",
        "_end",
        "_ended_by",
        "_frames",
        "_gateway",
        "_guard",
        "_handshake",
        "_has_token",
        "_interrupt",
        "_limits",
        "_newcomers",
        "_outbox",
        "_over",
        "_receive",
        "_silent_since",
        "_writer",
        "address",
    )

    def __init__(
        self,
        gateway: WebSocketGateway,
        handshake: Handshake,
        receive: Receive,
        send: Send,
        *,
        parts: Parts,
        budgets: Budgets,
        newcomers: Newcomers,
        frames: FrameTransport | None,
        over: Callable[[WebSocketClient], None],
    ) -> None:
        """`over` is called once, when nothing of the WebSocket is left."""
        self.address = handshake.client_address
        self._gateway = gateway
        self._handshake: Handshake | None = handshake
        self._limits = gateway.limits
        self._receive: Receive | None = receive
        self._newcomers = newcomers
        self._over: Callable[[WebSocketClient], None] | None = over
        self._outbox = Outbox(gateway.limits.outbox_bytes, self)
        self._interrupt: Interrupt | None = Interrupt()
        self._frames = frames if parts.settings.fast_writes else None
        self._writer: FrameWriter | Writer = (
            FrameWriter(self._outbox, self._frames)
            if self._frames is not None
            else Writer(
                self._outbox,
                send,
                tasks=parts.tasks,
                lost=self._interrupt,
                direct=parts.settings.fast_writes,
                frames=frames,
            )
        )
        self._guard = guard(receive, send, budgets.control, self._too_much) if frames is None else None
        self._connection: Connection | None = None
        self._has_token = gateway.has_credential(handshake)
        self._budgets = budgets
        self._attempts_due = 0.0
        self._silent_since: float | None = None
        self._end: tuple[int, str] | None = None
        self._ended_by = "transport close"

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    # For the connection

    @property
    def behind(self) -> bool:
        """Whether so much waits that volatile events should be dropped."""
        return self._outbox.behind

    @property
    def direct(self) -> Sink | None:
        """Where wire bytes are written at once, while nothing waits."""
        return self._outbox.direct

    def push(self, frame: Frame) -> None:
        """Write a frame to the client."""
        self._outbox.push(frame)

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket after what is queued. Before the client is let in, the gateway refuses it instead."""
        if self._connection is not None:
            self._finish(code, reason, TOO_SLOW if (code, reason) == (1013, TOO_SLOW) else "forced close")

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt. False: it was one too many."""
        self._attempts_due = budget.draw(self._attempts_due, time.monotonic())
        return self._attempts_due != math.inf

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """JSON frames have no acknowledgements."""
        raise TypeError(
            f"call({event!r}): a JSON WebSocket has no acknowledgements; send an event and handle its answer"
        )

    def redirected(self) -> None:
        """There is another way to the client."""
        if self._connection is not None:
            self._connection.reroute()

    def accept(self, connection: Connection) -> Frame | None:
        """The client is in."""
        self._connection = connection
        return self._gateway.accepted_frame(connection)

    # The life of the WebSocket

    def stop(self) -> None:
        """The server stops: tell the client to come back."""
        self._finish(1012, "server restart", "forced close")

    async def serve(self) -> None:
        """Serve the client: to its end, whoever ends it, or until the server calls us."""
        self._writer.start()
        self._watch()
        assert self._interrupt is not None
        try:
            await self._interrupt.run(self._read())
        finally:
            if self._interrupt is not None:  # not detached
                await self._conclude()

    async def _conclude(self) -> None:
        """End it in good order, whoever ended it."""
        self._leave()
        try:
            if not self._writer.gone:
                code, reason = self._end or (1000, "")
                # An outbox that overflowed has closed: then the writer waits for the client, and is not waited for.
                await self._writer.finish(code, reason, flush=not self._outbox.closed)
        finally:
            self._forget()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._gateway.closed(connection, self._ended_by)

    def _forget(self) -> None:
        self._newcomers.discard(self)
        if self._guard is not None:
            self._guard.end()
        self._writer.stop()
        self._outbox.close()
        over, self._over = self._over, None
        if over is not None:
            over(self)

    async def _read(self) -> None:
        """The loop: wait for what has to be waited for, and hand on one message after the other."""
        turn, receive = Turn(), self._receive
        assert receive is not None
        timed = self._gateway.idle_timeout is not None  # else no clock is asked
        while self._end is None:
            connection = self._connection
            if connection is not None:
                if self._frames is not None:
                    self._detach(self._frames)
                    return
                if connection.inbox.full:  # seldom, and cheaper to see than to wait for nothing
                    await connection.inbox.ready()
            elif self._has_token:
                await self._enter()
                continue
            if timed:
                self._silent_since = self._clock()
            event = await receive()
            self._silent_since = None
            if event["type"] == "websocket.disconnect":
                self._writer.gone = True
                return
            text = event.get("text")
            begun = time.monotonic()
            self.received(bytes(event["bytes"]) if text is None else text)
            if turn.used(time.monotonic() - begun):
                await asyncio.sleep(0)  # a server that has more does not wait

    async def _enter(self) -> None:
        """Have the client authenticated and let in, or told why not."""
        handshake, self._handshake = self._handshake, None
        assert handshake is not None
        try:
            await self._gateway.open(handshake, self)
        except Refusal as refusal:
            self._reject(refusal)

    def _detach(self, frames: FrameTransport) -> None:
        """Leave the coroutine: the server calls us from here on."""
        self._interrupt = self._receive = None
        if self._gateway.idle_timeout is not None:
            self._silent_since = self._clock()
        frames.detach(self)

    def closed(self, code: int, reason: str) -> None:
        """The server has lost the client, or said goodbye to it."""
        assert isinstance(self._writer, FrameWriter)
        self._writer.lose()
        if self._end is None:
            self._end = code, reason
            self._leave()
            self._forget()

    def _pause(self, frames: FrameTransport, inbox: Inbox) -> None:
        """Read no more while as many events wait for their handlers as may."""
        frames.pause()
        self._silent_since = None
        self._gateway.parts.tasks.spawn(self._catch_up(frames, inbox), name="wait of a reader")

    async def _catch_up(self, frames: FrameTransport, inbox: Inbox) -> None:
        await inbox.ready()
        if self._gateway.idle_timeout is not None:
            self._silent_since = self._clock()
        frames.resume()

    def received(self, text: str | bytes) -> None:
        """Take one message. Never waits. After the end: forgets it."""
        if self._end is not None:
            return
        connection, limits = self._connection, self._limits
        limit = limits.message_bytes
        if connection is None and limit > limits.handshake_bytes:
            limit = limits.handshake_bytes
        if isinstance(text, bytes):
            self._hostile(InvalidMessage("a binary frame"), "parse error")
            return
        if 4 * len(text) > limit and is_longer(text, limit):
            self._hostile(TooLarge("too large"), "transport error")
            return
        try:
            kind, data = self._gateway.wire.read(text, limits)
        except ProtocolError as error:
            self._hostile(InvalidMessage(str(error)), "parse error")
            return
        if connection is None:
            self._received_early(kind, data)
            return
        sent = [] if data is UNSET else [data]
        full = False
        if kind != "ping":
            full = self._gateway.receive(connection, kind, sent, None)
        elif self._gateway.admits(connection, kind, sent, None):
            self.push(self._gateway.pong_frame())
        if self._interrupt is None and self._frames is not None:  # detached: no loop looks after these
            if self._silent_since is not None:  # there is an `idle_timeout`, and the client is being read
                self._silent_since = self._clock()
            if full:
                self._pause(self._frames, connection.inbox)

    def _received_early(self, kind: str, data: Json) -> None:
        if not self.attempted(self._budgets.attempts):
            self._hostile(Unauthorized("authenticate first"), "parse error")
        elif kind == "auth":
            assert self._handshake is not None
            self._handshake = msgspec.structs.replace(self._handshake, auth=None if data is UNSET else data)
            self._has_token = True
            self._newcomers.discard(self)
        else:
            answer = self._gateway.pong_frame() if kind == "ping" else self._gateway.early_frame(kind)
            if answer is not None:
                self.push(answer)

    # Its ends

    def _reject(self, refusal: Refusal) -> None:
        """Not let in: say so, and close."""
        answer = self._gateway.rejected_frame(refusal)
        if answer is not None:
            self.push(answer)
        code, reason = refusal.ending or (self._close_code(refusal), refusal.message)
        self._finish(code, reason, "forced close")

    def _hostile(self, refusal: Refusal, ended_by: str) -> None:
        """Nothing a client of ours would send: answer it, and close."""
        if self._connection is None:
            self._gateway.parts.refusals.refused(self._gateway.name, f"before authentication: {refusal.message}")
        else:
            logger.info("%s: a client broke the protocol: %s", self._gateway.name, refusal.message)
        self.push(self._gateway.error_frame(refusal, None))
        self._finish(self._close_code(refusal), refusal.message, ended_by)

    def _close_code(self, refusal: Refusal) -> int:
        """What the gateway answers; 1008, and an error in the log, where that may not be sent."""
        code = self._gateway.close_code(refusal)
        try:
            check_close(f"{type(self._gateway).__name__}.close_code({refusal!r})", code, "")
        except (TypeError, ValueError) as error:
            logger.error("%s", error)
            return 1008
        return code

    def overflowed(self) -> None:
        """The client does not read."""
        self._finish(1013, TOO_SLOW, TOO_SLOW)  # before the connection's own end, which knows no better reason
        if self._connection is not None:
            self._connection.end(1013, TOO_SLOW)

    def _too_much(self) -> None:
        """The client sends too many frames without an event."""
        logger.info("%s: a client is closed: %s", self._gateway.name, TOO_MUCH_CONTROL)
        if self._connection is not None:
            self._connection.end(1008, TOO_MUCH_CONTROL)
        else:
            self.close(1008, TOO_MUCH_CONTROL)

    def _finish(self, code: int, reason: str, ended_by: str) -> None:
        if self._end is None:
            self._end, self._ended_by = (code, repaired(reason)), ended_by
            if self._interrupt is not None:
                self._interrupt()
            else:
                self._gateway.parts.tasks.spawn(self._conclude(), name="end of a WebSocket")

    # Its deadlines, on the wheel that all share

    def _watch(self) -> None:
        if not self._has_token:
            self._newcomers.add(self)
        if self._gateway.idle_timeout is not None:
            self._gateway.parts.wheel.schedule(self._next_look(self._clock()), _Silence(self))

    def token_due(self) -> None:
        """The time for the first `auth` frame is over."""
        if not self._has_token and self._end is None:
            self._gateway.parts.refusals.refused(self._gateway.name, "no auth frame in time")
            self._reject(Unauthorized("authentication timed out"))

    def look(self, now: float) -> float | None:
        """Close a client that was silent for too long; returns when to look again.

        While it is not read from, because its events wait for their handlers, nobody knows whether it is silent.
        """
        if self._end is not None or self._over is None:
            return None
        due = self._next_look(now)
        if due > now:
            return due
        self._finish(1000, "idle", "idle")
        return None

    def _next_look(self, now: float) -> float:
        assert self._gateway.idle_timeout is not None
        since = now if self._silent_since is None else self._silent_since
        return min(since + self._gateway.idle_timeout, now + _IDLE_CHECK)


class _Silence(weakref.ref[WebSocketClient]):
    """When to look whether a client has been silent for too long. Weak, so that who is gone is not remembered."""

    __slots__ = ()

    def due(self, now: float) -> float | None:
        client = self()
        return None if client is None else client.look(now)
