"""An Engine.IO session over a WebSocket, read in the server's own task."""

from __future__ import annotations

import asyncio
import functools
import logging

from starlette.types import Receive, Send

from asgi_realtime.engineio import packets
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.engineio.session import Session, State
from asgi_realtime.errors import ProtocolError
from asgi_realtime.frame_transport import FrameTransport
from asgi_realtime.settings import Settings
from asgi_realtime.tasks import Tasks
from asgi_realtime.writer import Writer

logger = logging.getLogger("asgi_realtime")


class WebSocket:
    """An accepted WebSocket. Its session may have begun on it, or be polling still."""

    __slots__ = ("_interrupt", "_limit", "_receive", "_send", "_session", "_writer")

    def __init__(
        self,
        session: Session,
        receive: Receive,
        send: Send,
        *,
        tasks: Tasks,
        settings: Settings,
        frames: FrameTransport | None,
    ) -> None:
        self._session = session
        self._receive = receive
        self._send = send
        self._limit = settings.limits.message_bytes
        self._writer = Writer(
            session.outbox,
            send,
            tasks=tasks,
            lost=functools.partial(session.abort, "transport close"),
            direct=settings.fast_writes,
            frames=frames,
        )
        self._interrupt = Interrupt()

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
        await self._send({"type": "websocket.send", "text": packets.PROBE_PONG})
        self._session.probe()
        return await self._next() == packets.UPGRADE and self._session.complete_upgrade()

    async def serve(self) -> None:
        """Carry the session to its end, whoever ends it. Returns when nothing of it is left."""
        session = self._session
        session.interrupt = self._interrupt
        self._writer.start()
        try:
            if session.state is State.OPEN:
                await self._interrupt.run(self._read())
            if not self._writer.gone:
                await self._writer.finish(*session.close_code, flush=session.state is State.CLOSING)
            session.finish()
        finally:
            session.interrupt = None
            self._writer.stop()
            session.abort("transport close")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close a WebSocket that carries no session."""
        await self._writer.close(code, reason)

    async def _next(self) -> str | bytes | None:
        """The next packet; None when the client has gone."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self._writer.gone = True
            return None
        text: str | None = event.get("text")
        return bytes(event["bytes"]) if text is None else text

    async def _read(self) -> None:
        session = self._session
        clock = asyncio.get_running_loop().time
        try:
            while (packet := await self._next()) is not None:
                if _size_over(packet, self._limit):
                    session.abort("transport error", 1009)
                else:
                    session.receive(packet, clock())
                if session.state is not State.OPEN:
                    return
                await session.ready()
        except ProtocolError as error:
            logger.info("%r ended: %s", session, error)
            session.abort("parse error")
        except Exception:
            logger.exception("an application failed to receive")
            session.abort("transport error")


def _size_over(packet: str | bytes, limit: int) -> bool:
    if len(packet) > limit:
        return True
    return isinstance(packet, str) and not packet.isascii() and len(packet.encode()) > limit
