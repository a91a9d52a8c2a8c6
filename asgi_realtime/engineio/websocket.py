"""An Engine.IO session over a WebSocket, read in the server's own task, or by callbacks where it offers them."""

from __future__ import annotations

import asyncio
import functools
import logging
import time

from starlette.types import Message, Receive, Send

from asgi_realtime.budgets import Budget
from asgi_realtime.engineio import packets
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.engineio.session import Session, State
from asgi_realtime.errors import ProtocolError
from asgi_realtime.frame_transport import FrameTransport
from asgi_realtime.frame_writing import FrameWriter
from asgi_realtime.settings import Settings
from asgi_realtime.stock_reading import guard
from asgi_realtime.tasks import Tasks
from asgi_realtime.text import is_longer
from asgi_realtime.turns import Turn
from asgi_realtime.writer import Writer

logger = logging.getLogger("asgi_realtime")


class WebSocket:
    """An accepted WebSocket. Its session may have begun on it, or be polling still."""

    __slots__ = ("_frames", "_guard", "_interrupt", "_receive", "_send", "_session", "_small", "_tasks", "_writer")

    def __init__(
        self,
        session: Session,
        receive: Receive,
        send: Send,
        *,
        tasks: Tasks,
        settings: Settings,
        control: Budget,
        frames: FrameTransport | None,
    ) -> None:
        """`control` is the budget of frames below messages, where the server can be seen at work."""
        self._session = session
        self._receive: Receive | None = receive
        self._send: Send | None = send
        self._tasks = tasks
        limits = settings.limits
        self._small = min(limits.message_bytes, limits.handshake_bytes) // 4  # characters that are within each limit
        self._frames = frames if settings.fast_writes else None
        self._writer: FrameWriter | Writer = (
            FrameWriter(session.outbox, self._frames)
            if self._frames is not None
            else Writer(
                session.outbox,
                send,
                tasks=tasks,
                lost=functools.partial(session.abort, "transport close"),
                direct=settings.fast_writes,
                frames=frames,
            )
        )
        self._interrupt = Interrupt()
        self._guard = guard(receive, send, control, session.too_much) if frames is None else None

    async def upgrade(self, seconds: float) -> bool:
        """Take the session over from polling. False if the client does not go through with it within `seconds`.

        Whatever happens, nothing is lost: polling is in charge until the client's last word.
        """
        session = self._session
        session.interrupt = self._interrupt
        upgraded = False
        try:
            async with asyncio.timeout(seconds):
                upgraded = await self._interrupt.run(self._handshake()) or False
        except TimeoutError:
            pass
        except Exception:  # each server has its own way to say that the client has gone
            self._writer.gone = True
        finally:
            session.abandon_upgrade()
            session.interrupt = None
        if not upgraded and not self._writer.gone:
            await self.close(*session.close_code)
        return upgraded

    async def _handshake(self) -> bool:
        if await self._next() != packets.PROBE_PING:
            return False
        assert self._send is not None
        await self._send({"type": "websocket.send", "text": packets.PROBE_PONG})
        self._session.probe()
        return await self._next() == packets.UPGRADE and self._session.complete_upgrade()

    async def serve(self) -> None:
        """Carry the session to its end, whoever ends it; or, where the server calls us, see that it is carried."""
        session = self._session
        self._writer.start()
        if self._frames is not None and session.state is State.OPEN:
            self._detach(self._frames)
            return
        session.interrupt = self._interrupt
        try:
            if session.state is State.OPEN:
                await self._interrupt.run(self._read())
        except BaseException:
            self._let_go()
            raise
        await self._conclude()

    async def _conclude(self) -> None:
        """End it in good order. Nothing is left of the session then."""
        session = self._session
        try:
            if not self._writer.gone:
                await self._writer.finish(*session.close_code, flush=session.state is State.CLOSING)
            session.finish()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.end()
        self._session.interrupt = None
        self._writer.stop()
        self._session.abort("transport close")

    def _detach(self, frames: FrameTransport) -> None:
        """Leave the coroutine: from here on the server calls us, and the session when it ends."""
        self._receive = self._send = None
        self._session.interrupt = self._conclude_soon
        frames.detach(self)

    def _conclude_soon(self) -> None:
        self._session.interrupt = None
        self._tasks.spawn(self._conclude(), name="end of a WebSocket")

    def closed(self, code: int, reason: str) -> None:
        """The server has lost the client, or said goodbye to it."""
        assert isinstance(self._writer, FrameWriter)
        self._writer.lose()
        if self._session.interrupt is not None:  # nobody is concluding it already
            self._let_go()

    def received(self, packet: str | bytes) -> None:
        """Take one packet, from a server that calls us."""
        if self._take(packet, time.monotonic()) and self._frames is not None:
            self._frames.pause()
            self._tasks.spawn(self._catch_up(self._frames), name="wait of a reader")

    async def _catch_up(self, frames: FrameTransport) -> None:
        await self._session.ready()
        frames.resume()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close a WebSocket that carries no session."""
        await self._writer.close(code, reason)
        if self._guard is not None:
            self._guard.end()

    async def _next(self) -> str | bytes | None:
        """The next packet; None when the client has gone."""
        assert self._receive is not None
        return self._packet(await self._receive())

    def _packet(self, event: Message) -> str | bytes | None:
        """What an ASGI event brings; None when the client has gone."""
        if event["type"] == "websocket.disconnect":
            self._writer.gone = True
            return None
        text: str | None = event.get("text")
        return bytes(event["bytes"]) if text is None else text

    async def _read(self) -> None:
        session, turn, receive = self._session, Turn(), self._receive
        assert receive is not None
        while (packet := self._packet(await receive())) is not None:  # `_next` would be one more coroutine for each
            begun = time.monotonic()
            full = self._take(packet, begun)
            if session.state is not State.OPEN:
                return
            if full:
                await session.ready()
            elif turn.used(time.monotonic() - begun):
                await asyncio.sleep(0)  # a server that has more does not wait

    def _take(self, packet: str | bytes, now: float) -> bool:
        """Take one packet. True: no more before the session is ready."""
        session = self._session
        try:
            if len(packet) > self._small and _is_longer(packet, session.message_bytes):
                session.fail("transport error", 1009)
            else:
                return session.receive(packet, now)
        except ProtocolError as error:
            logger.info("%r ended: %s", session, error)
            session.fail("parse error")
        except Exception:
            logger.exception("an application failed to receive")
            session.fail("transport error")
        return False


def _is_longer(packet: str | bytes, limit: int) -> bool:
    return is_longer(packet, limit) if isinstance(packet, str) else len(packet) > limit
