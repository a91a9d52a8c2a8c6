"""An Engine.IO session over a WebSocket: read in the server's own task, written by one that lives while frames wait."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import Receive, Send

from asgi_realtime.engineio import packets
from asgi_realtime.engineio.interrupt import Interrupt
from asgi_realtime.engineio.session import Session, State
from asgi_realtime.errors import ProtocolError
from asgi_realtime.tasks import Tasks

logger = logging.getLogger("asgi_realtime")

_BATCH_BYTES = 65_536
"""What the writer takes from the outbox at a time: so much may wait beyond the outbox's own limit."""
FLUSH_SECONDS = 0.5
"""How long a client may take to read what is queued for it when its session is closed."""


class WebSocket:
    """An accepted WebSocket. Its session may have begun on it, or be polling still."""

    __slots__ = ("_gone", "_interrupt", "_limit", "_receive", "_send", "_session", "_tasks", "_writer")

    def __init__(self, session: Session, receive: Receive, send: Send, *, tasks: Tasks, limit: int) -> None:
        self._session = session
        self._receive = receive
        self._send = send
        self._tasks = tasks
        self._limit = limit
        self._writer: asyncio.Task[None] | None = None
        self._gone = False
        self._interrupt = Interrupt()

    async def upgrade(self, seconds: float) -> bool:
        """Take the session over from polling. False if the client does not go through with it within `seconds`.

        Whatever happens, nothing is lost: polling is in charge until the client's last word.
        """
        session = self._session
        session.interrupt = self._interrupt
        try:
            async with asyncio.timeout(seconds):
                upgraded = await self._interrupt.run(self._handshake()) or False
        except TimeoutError:
            upgraded = False
        except Exception:  # each server has its own way to say that the client has gone
            upgraded = False
            self._gone = True
        finally:
            session.abandon_upgrade()
            session.interrupt = None
        if upgraded:
            return True
        if not self._gone:
            await self.close(*session.close_code)
        return False

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
        self._wait_for_frames()
        try:
            if session.state is State.OPEN:
                await self._interrupt.run(self._read())
            if not self._gone:
                await self._finish()
        finally:
            session.outbox.wake = session.interrupt = None
            if self._writer is not None:
                self._writer.cancel()
            session.abort("transport close")

    async def _next(self) -> str | bytes | None:
        """The next packet; None when the client has gone."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self._gone = True
            return None
        text: str | None = event.get("text")
        return bytes(event["bytes"]) if text is None else text

    async def _read(self) -> None:
        session = self._session
        clock = asyncio.get_running_loop().time
        try:
            while (packet := await self._next()) is not None:
                if len(packet) > self._limit or (
                    isinstance(packet, str) and not packet.isascii() and len(packet.encode()) > self._limit
                ):
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

    def _wait_for_frames(self) -> None:
        if self._session.outbox:
            self._start_writer()
        else:
            self._session.outbox.wake = self._start_writer

    def _start_writer(self) -> None:
        self._session.outbox.wake = None
        self._writer = self._tasks.spawn(self._write(), name="Engine.IO writer")

    async def _write(self) -> None:
        outbox = self._session.outbox
        try:
            while frames := outbox.take(_BATCH_BYTES):
                for frame in frames:
                    for event in frame.asgi:
                        await self._send(event)
        except Exception:  # as in `upgrade`
            self._gone = True
            self._session.abort("transport close")
        else:
            outbox.wake = self._start_writer
        finally:
            self._writer = None

    async def _finish(self) -> None:
        """Write what is queued, unless the session was aborted, and the close; cut a client that does not read."""
        session = self._session
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                if session.state is State.CLOSED and self._writer is not None:
                    self._writer.cancel()
                if self._writer is not None:
                    await asyncio.wait([self._writer])
                await self._write()
        except TimeoutError:
            _cut(self._send)
            return
        session.outbox.wake = None
        if not self._gone:
            await self.close(*session.close_code)
        session.finish()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Write the close, for which a client has a moment; then its connection is cut."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            _cut(self._send)
        except Exception:  # as in `upgrade`; there is nothing left to do for this client
            return


def _cut(send: Send) -> None:
    """Abort the connection of a client that does not read.

    A server closes it in good order, which waits until the client has read what is buffered. Where
    the server's protocol object can be seen, its transport knows a quicker way.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    abort = getattr(transport, "abort", None)
    if callable(abort):
        abort()
