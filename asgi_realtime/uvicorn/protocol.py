"""The uvicorn protocol class: one WebSocket between its transport and whoever reads it."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import Any, ClassVar, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from asgi_realtime.outbound.descriptors import descriptor_of
from asgi_realtime.outbound.frames_extension import Reader, WriteListener
from asgi_realtime.protocols.rfc6455.frames import ABNORMAL, close, ping, pong
from asgi_realtime.protocols.rfc6455.parser import Close, Fragment, FrameError, Parser, Ping, Pong
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.turns import MESSAGES_A_TURN, SECONDS_A_TURN
from asgi_realtime.uvicorn.conversation import Conversation
from asgi_realtime.uvicorn.no_reader import NO_READER
from asgi_realtime.uvicorn.server import Server, logger

_MAX_UNREAD_PONGS: Final = 65_536
"""Pings are not answered while more bytes wait to be sent: a client that does not read gets no pongs either."""


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket: frames, pings, the closing handshake, and reading no faster than it is read from.

    A request for it has been read by uvicorn and is replayed here. Messages go to a `Conversation`,
    which is the ASGI side, until an application takes them over: the object is also what the scope
    extension `asgi_realtime.frames` offers (see `asgi_realtime.outbound.frames_extension`). Idle and taken over,
    a connection is this object, its parser and its transport.
    """

    __slots__ = (
        "_control_due",
        "_conversation",
        "_deadline",
        "_ended",
        "_heard",
        "_lost",
        "_parser",
        "_paused",
        "_pinged",
        "_reader",
        "_rests",
        "_server",
        "_stopped_reading",
        "_untold",
        "control",
        "descriptor",
        "is_open",
        "listener",
        "transport",
    )

    handshake_timeout: ClassVar[float] = 10.0
    """Seconds a client may take to send its request."""
    close_timeout: ClassVar[float] = 10.0
    """Seconds a client may take to read what is left and answer a close."""
    shutdown_timeout: ClassVar[float] = 3.0
    """Seconds a client may take to read what is left when the server stops."""
    answer_timeout: ClassVar[float] = 0.25
    """Seconds it may take then, once it has read everything, to answer the close."""

    transport: asyncio.Transport
    descriptor: int

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        shortest = min(self.handshake_timeout, self.close_timeout, self.shutdown_timeout)
        self._server = Server.of(config, server_state, shortest)
        conversation = Conversation(self, config, server_state, app_state)
        self._conversation: Conversation | None = conversation
        self._reader: Reader = conversation
        self._untold: Reader | None = conversation  # until it has heard of the end
        self._parser: Parser | None = None  # none until the request has been read
        self.listener: WriteListener | None = None
        self.control: Budget = self._server.control
        """How many frames without a message the client may send."""
        self._control_due = 0.0
        self.is_open = False
        """Whether frames may be written: from the acceptance to the first close, whoever sends it."""
        self._lost = False
        self._ended: tuple[int, str] | None = None  # the close we sent of our own accord
        self._paused = True  # nothing is read before the acceptance
        self._rests = False  # paused by nobody, but until others had their turn
        self._stopped_reading = False  # of the transport: only once data came while paused
        self._heard = False  # anything from the client, since the timer last looked
        self._pinged = False
        self._deadline = math.inf  # when the timer has something to do here

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over from uvicorn's HTTP protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.descriptor = descriptor_of(transport)
        # So `resume_writing` means that nothing is left. asyncio's TLS takes 0 for "always too much".
        self.transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the request, then of frames."""
        self._heard = True
        if self._parser is None:
            self._read_request(data)
            return
        self._parser.feed(data)
        if not self._paused:
            self._read()
        elif not self._stopped_reading:
            self._stopped_reading = True
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The kernel has not taken everything."""
        self._hold()

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        if self._conversation is not None:
            self._conversation.writable()
        if self.listener is not None:
            self.listener.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes. What came before is still read, if its reader is not through with it."""
        self._server.connections.discard(self)
        unread = self.is_open and self._paused and self.unread
        self.is_open, self._lost = False, True
        self._hold()
        self.listener = None
        if self._conversation is not None:
            self._conversation.writable()
        if not unread:
            self._end()

    def shutdown(self) -> None:
        """The server stops: say so (1012), and do not wait long for an answer."""
        if self._parser is None:
            self.transport.close()
            return
        if self.is_open:
            self._fail(1012, "", self.shutdown_timeout)
        elif self._ended is not None:
            self._schedule(self.shutdown_timeout)
        elif self._conversation is not None:
            self._conversation.stop()
            return
        asyncio.get_running_loop().call_later(self.answer_timeout, self._unanswered)

    def _unanswered(self) -> None:
        """End a connection on which nothing is left to be written; one with more has its deadline."""
        if not self.buffered:
            self.transport.close()

    # The ASGI side's

    def accept(self, response: bytes) -> None:
        """Open the WebSocket with this answer."""
        self.transport.write(response)
        self.is_open = True
        self._deadline = math.inf
        if self._server.ping_interval is not None:
            self._schedule(self._server.ping_interval)
        self.resume()

    def refuse(self, response: bytes, *, more: bool = False) -> None:
        """Answer with something else than a WebSocket, or a part of that."""
        if self.transport.is_closing():
            return
        self.transport.write(response)
        if not more:
            self._schedule(self.close_timeout)
            self.transport.close()

    @property
    def unread(self) -> int:
        """Bytes that have come and were not looked at."""
        return 0 if self._parser is None else self._parser.waiting

    def conversation_over(self) -> None:
        """The ASGI coroutine has ended."""
        self._conversation = None

    @property
    def lost(self) -> bool:
        """Whether the client is gone."""
        return self._lost or self.transport.is_closing()

    # The extension

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""
        return 0 if self._lost else self.transport.get_write_buffer_size()

    @property
    def max_message_bytes(self) -> int:
        """Largest message the client may send."""
        return self._server.max_message_bytes if self._parser is None else self._parser.limit

    @max_message_bytes.setter
    def max_message_bytes(self, limit: int) -> None:
        if self._parser is not None:
            self._parser.limit = limit

    @property
    def deflate(self) -> bool:
        """Whether messages may be compressed."""
        return self._parser is not None and self._parser.deflate

    @deflate.setter
    def deflate(self, wanted: bool) -> None:
        if self._parser is not None:
            self._parser.deflate = wanted

    def write(self, frames: bytes) -> None:
        """Write whole frames."""
        if self.is_open:
            self.transport.write(frames)

    def _hold(self) -> None:
        if self.listener is not None:
            self.listener.pause_writing()

    def detach(self, reader: Reader) -> None:
        """Hand everything to a reader from now on, and first what has not been read."""
        if self._conversation is None:
            raise RuntimeError("the ASGI coroutine has returned")
        message = self._conversation.detach()
        self._reader = self._untold = reader
        self._paused = False
        if message is not None:
            try:
                reader.received(message)
            except Exception:
                self._reader_failed()
        if not self._paused:
            self._paused = True
            self.resume()

    def pause(self) -> None:
        """Hand over nothing until `resume`."""
        self._paused = self.is_open or self._lost
        self._rests = False

    def resume(self) -> None:
        """Go on, with what has come meanwhile first."""
        if not self._paused:
            return
        self._paused = False
        self._read()
        if self._paused:
            return
        if self._lost:
            self._end()
        elif self._stopped_reading:
            self._stopped_reading = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what is written."""
        if self.is_open:
            self._write_close(code, reason, self.close_timeout)
            self._ended = code, reason
            self._reader = NO_READER
            self.resume()  # or the client's answer would not be seen

    def abort(self) -> None:
        """Cut the connection."""
        self.is_open = False
        self._hold()
        self._reader = NO_READER
        self.transport.abort()

    # Reading

    def _read_request(self, data: bytes) -> None:
        assert self._conversation is not None
        rest = self._conversation.request(data)
        if rest is not None:
            self._deadline = math.inf
            self._parser = Parser(self._server.max_message_bytes)
            self._parser.feed(rest)
        elif self._deadline == math.inf:
            self._schedule(self.handshake_timeout)

    def _read(self) -> None:
        """Hand over what has come, until there is no more or the reader has had enough."""
        parser = self._parser
        assert parser is not None
        try:
            left, until = MESSAGES_A_TURN, 0.0
            while not self._paused and (message := parser.next()) is not None:
                left -= 1
                if not until:
                    until = monotonic() + SECONDS_A_TURN
                elif not left or monotonic() > until:
                    self._rest()
                if not isinstance(message, (str, bytes)):
                    self._control(message)
                    continue
                reader = self._reader
                if reader is NO_READER:
                    self._without_message()
                try:
                    reader.received(message)
                except Exception:
                    self._reader_failed()
        except FrameError as error:
            self._fail(error.code, str(error), self.close_timeout)
            # The client's answer cannot be found any more; its end of the connection can. Closing ours
            # altogether, while it is still sending, would have the kernel take the close frame back.
            if not self.transport.is_closing():
                if self.transport.can_write_eof():
                    self.transport.write_eof()
                else:
                    self.transport.close()

    def _rest(self) -> None:
        """Read no more in this turn of the loop."""
        self._paused = self._rests = True
        asyncio.get_running_loop().call_soon(self._rested)

    def _rested(self) -> None:
        if self._rests:
            self._rests = False
            self.resume()

    def _reader_failed(self) -> None:
        logger.exception("Exception in the reader of a WebSocket\n")
        self._fail(1011, "", self.close_timeout)

    def _control(self, frame: Ping | Pong | Fragment | Close) -> None:
        if isinstance(frame, Pong) and self._pinged:
            self._pinged = False
        elif isinstance(frame, Fragment):
            if frame.small:
                self._without_message()
        elif not isinstance(frame, Close):
            self._without_message()
            if isinstance(frame, Ping) and self.is_open and self.buffered <= _MAX_UNREAD_PONGS:
                self.transport.write(pong(frame.payload))
        else:
            if self.is_open:
                self._write_close(frame.code, "", self.close_timeout)
            if self._ended is None:
                self._ended = frame.code, frame.reason
            self.transport.close()
            self._end()

    def _without_message(self) -> None:
        """Count a frame that brings the reader nothing.

        Raises:
            FrameError: it was one too many. Nothing more is decoded.
        """
        self._control_due = self.control.draw(self._control_due, monotonic())
        if self._control_due == math.inf:
            assert self._parser is not None
            raise self._parser.refused(1008, "too many frames without a message")

    # The end

    def _fail(self, code: int, reason: str, seconds: float) -> None:
        """Close because of something that the reader does not know yet."""
        if self.is_open:
            self._write_close(code, reason, seconds)
            self._ended = code, reason
            self._end()
            self.resume()

    def _write_close(self, code: int, reason: str, seconds: float) -> None:
        self.transport.write(close(code, reason))
        self.is_open = False
        self._hold()
        self._schedule(seconds)

    def _end(self) -> None:
        """Tell the reader, once."""
        reader, self._untold, self._reader = self._untold, None, NO_READER
        if reader is not None:
            try:
                reader.closed(*(self._ended or (ABNORMAL, "")))
            except Exception:
                logger.exception("Exception in the reader of a WebSocket\n")

    # Time

    def _schedule(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._server.wheel.schedule(self._deadline, self)

    def due(self, now: float) -> float | None:
        """Do what time demands, if it still does. Returns when to ask again."""
        if self._lost or self._deadline == math.inf:
            return None
        if now >= self._deadline:
            if not self.is_open:
                self.transport.abort()
                return None
            self._keep_alive(now)
        return self._deadline

    def _keep_alive(self, now: float) -> None:
        """Ask a silent client whether it is there; one that does not answer is not. We may be the one not listening."""
        interval, timeout = self._server.ping_interval, self._server.ping_timeout
        assert interval is not None
        silent = not self._heard and not self._paused
        self._heard = False
        self._deadline = now + interval
        if silent and self._pinged:
            self._fail(1011, "keepalive ping timeout", self.close_timeout)
            return
        if silent:
            self.transport.write(ping())
            self._deadline = now + (timeout or interval)
        self._pinged = silent and timeout is not None
