"""The uvicorn protocol class for WebSockets."""

from __future__ import annotations

import asyncio
import math
from typing import Any, ClassVar, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from asgi_realtime.outbound.frames_extension import Reader, TextReader
from asgi_realtime.protocols.rfc6455.frames import ABNORMAL, close, ping, pong
from asgi_realtime.protocols.rfc6455.parser import Close, Fragment, FrameError, Parser, Ping, Pong
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.uvicorn.cycle import WebSocketCycle
from asgi_realtime.uvicorn.discarding_reader import DISCARDING_READER
from asgi_realtime.uvicorn.frame_output import FrameOutput
from asgi_realtime.uvicorn.server_context import ServerContext

_MAX_UNREAD_PONGS: Final = 65_536
"""Pings are not answered while more bytes wait to be sent: a client that does not read gets no pongs either."""


class WebSocketProtocol(FrameOutput):
    """One WebSocket: frames, pings, the closing handshake and back-pressure.

    uvicorn has read the request and replays it here. Messages go to a `WebSocketCycle`, the ASGI side, until the
    application detaches the WebSocket. For that, this object is also what the scope extension `asgi_realtime.frames`
    offers (see `asgi_realtime.outbound.frames_extension`). A detached WebSocket that is idle consists of this object,
    its parser and its transport.
    """

    __slots__ = (
        "_active",
        "_awaiting_pong",
        "_control_refilled_at",
        "_cycle",
        "_deadline",
        "_ended",
        "_parser",
        "_paused",
        "_reader",
        "_server",
        "_text_reader",
        "_transport_paused",
        "_unclosed_reader",
        "_yielding",
        "control",
    )

    handshake_timeout: ClassVar[float] = 10.0
    """Seconds a client may take to send its request."""
    close_timeout: ClassVar[float] = 10.0
    """Seconds a client may take to read what is left and answer a close."""
    shutdown_timeout: ClassVar[float] = 3.0
    """Seconds a client may take to read what is left when the server stops."""
    answer_timeout: ClassVar[float] = 0.25
    """Seconds it may take then to answer the close, once it has read everything."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        if not config.loaded:
            config.load()
        shortest = min(self.handshake_timeout, self.close_timeout, self.shutdown_timeout)
        self._server = ServerContext.of(config, server_state, shortest)
        cycle = WebSocketCycle(self, config, server_state, app_state)
        self._cycle: WebSocketCycle | None = cycle
        self._reader: Reader = cycle
        self._text_reader: TextReader | None = None
        self._unclosed_reader: Reader | None = cycle  # until its `websocket_closed` was called
        self._parser: Parser | None = None  # none until the request has been read
        self.control: Budget = self._server.control
        """How many frames without a message the client may send."""
        self._control_refilled_at = 0.0
        self._ended: tuple[int, str] | None = None  # code and reason of the first close
        self._paused = True  # nothing is read before the acceptance
        self._yielding = False  # paused until the loop's next turn
        self._transport_paused = False  # only once data came while paused
        self._active = False  # whether the client has sent anything since the last keepalive check
        self._awaiting_pong = False
        self._deadline = math.inf  # when `on_deadline` has something to do

    # For the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over from uvicorn's HTTP protocol."""
        super().connection_made(transport)
        self._server.connections.add(self)
        # uvicorn's HTTP protocol and its parser refer to each other, and would wait for the garbage collector.
        http: Any = self.transport.get_protocol()
        if type(getattr(http, "parser", None)).__module__.partition(".")[0] == "httptools":
            http.parser = None

    def data_received(self, data: bytes) -> None:
        """Take bytes of the request, then of frames."""
        self._active = True
        if self._parser is None:
            self._read_request(data)
            return
        self._parser.feed(data)
        if not self._paused:
            self._read()
        elif not self._transport_paused:
            self._transport_paused = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        if self._cycle is not None:
            self._cycle.drained()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes. What came before is still read, if its reader has paused."""
        self._server.connections.discard(self)
        unread = self.is_open and self._paused and self.unread
        super().connection_lost(exc)
        if self._cycle is not None:
            self._cycle.drained()
        if not unread:
            self._end()

    def shutdown(self) -> None:
        """The server stops: close with 1012, and wait for the answer for a short time."""
        if self._parser is None:
            self.transport.close()
            return
        if self.is_open:
            self._fail(1012, "", self.shutdown_timeout)
        elif self._ended is not None:
            self._schedule(self.shutdown_timeout)
        elif self._cycle is not None:
            self._cycle.stop()
            return
        asyncio.get_running_loop().call_later(self.answer_timeout, self._unanswered)

    def _unanswered(self) -> None:
        """Close a connection on which everything is written. One with more to write has its deadline."""
        if not self.buffered:
            self.transport.close()

    # For the ASGI side

    def accept(self, response: bytes) -> None:
        """Write the answer that opens the WebSocket."""
        self._accept(response)
        if self._parser is not None:
            self._parser.deflate = self.deflate
        self.is_open = True
        self._deadline = math.inf
        if self._server.ping_interval is not None:
            self._schedule(self._server.ping_interval)
        self.resume()

    def refuse(self, response: bytes, *, more: bool = False) -> None:
        """Write an HTTP response, or a part of it if `more` follows."""
        if self.transport.is_closing():
            return
        self.transport.write(response)
        if not more:
            self._schedule(self.close_timeout)
            self.transport.close()

    @property
    def unread(self) -> int:
        """Bytes that have come and were not decoded."""
        return 0 if self._parser is None else self._parser.waiting

    def cycle_ended(self) -> None:
        """The ASGI coroutine has returned."""
        self._cycle = None

    # For the extension's users: see `FrameTransport`

    @property
    def max_message_bytes(self) -> int:
        """Largest message the client may send."""
        return self._server.max_message_bytes if self._parser is None else self._parser.limit

    @max_message_bytes.setter
    def max_message_bytes(self, limit: int) -> None:
        if self._parser is not None:
            self._parser.limit = limit

    def detach(self, reader: Reader) -> None:
        """Give every message to a reader from now on, beginning with those not read yet."""
        if self._cycle is None:
            raise RuntimeError("the ASGI coroutine has returned")
        message = self._cycle.detach()
        self._reader = self._unclosed_reader = reader
        self._text_reader = getattr(reader, "text_reader", None)
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
        """Give no message to the reader until `resume`."""
        self._paused = self.is_open or self._lost
        self._yielding = False

    def resume(self) -> None:
        """Go on, beginning with what has come in the meantime."""
        if not self._paused:
            return
        self._paused = False
        self._read()
        if self._paused:
            return
        if self._lost:
            self._end()
        elif self._transport_paused:
            self._transport_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what is written."""
        if self.is_open:
            self._write_close(code, reason, self.close_timeout)
            self._ended = code, reason
            self._reader = DISCARDING_READER
            self.resume()  # or the client's answer would not be seen

    def abort(self) -> None:
        """Cut the connection."""
        self.is_open = False
        self.pause_writing()
        self._reader = DISCARDING_READER
        self.transport.abort()

    # Reading

    def _read_request(self, data: bytes) -> None:
        assert self._cycle is not None
        rest = self._cycle.request(data)
        if rest is not None:
            self._deadline = math.inf
            self._parser = Parser(self._server.max_message_bytes)
            self._parser.feed(rest)
        elif self._deadline == math.inf:
            self._schedule(self.handshake_timeout)

    def _read(self) -> None:
        """Give the reader what has come, until nothing is left or it pauses."""
        parser = self._parser
        assert parser is not None
        try:
            turn = TextTurn(parser.next_text)
            while not self._paused and parser.buffer:
                try:
                    if self._text_reader is not None and self._reader is not DISCARDING_READER:
                        self._text_reader.receive_texts(turn)
                except Exception:
                    self._reader_failed()
                if turn.over:
                    self._yield_turn()
                text, turn.text = turn.text, None
                message = parser.next() if text is None and not turn.over else text
                if message is None:
                    return
                if text is not None:
                    message = parser.decode(text)
                elif parser.buffer:  # the clock is not read for a single message
                    turn.count(1, time_source.monotonic())
                    if turn.over:
                        self._yield_turn()
                if not isinstance(message, (str, bytes)):
                    self._handle_control(message)
                    continue
                if self._reader is DISCARDING_READER:
                    self._count_control()
                try:
                    self._reader.received(message)
                except Exception:
                    self._reader_failed()
        except FrameError as error:
            self._fail(error.code, str(error), self.close_timeout)
            # The parser cannot find the client's answer any more, so the end of its stream is waited for. If this side
            # were closed while the client still sends, the kernel would reset the connection and drop the close frame.
            if not self.transport.is_closing():
                if self.transport.can_write_eof():
                    self.transport.write_eof()
                else:
                    self.transport.close()

    def _yield_turn(self) -> None:
        """Read no more before the loop's next turn, so that other clients have theirs."""
        self._paused = self._yielding = True
        asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        if self._yielding:
            self._yielding = False
            self.resume()

    def _reader_failed(self) -> None:
        self._server.reader_failed()
        self._fail(1011, "", self.close_timeout)

    def _handle_control(self, frame: Ping | Pong | Fragment | Close) -> None:
        if isinstance(frame, Pong) and self._awaiting_pong:
            self._awaiting_pong = False
        elif isinstance(frame, Fragment):
            if frame.small:
                self._count_control()
        elif not isinstance(frame, Close):
            self._count_control()
            if isinstance(frame, Ping) and self.is_open and self.buffered <= _MAX_UNREAD_PONGS:
                self._write(pong(frame.payload))
        else:
            if self.is_open:
                self._write_close(frame.code, "", self.close_timeout)
            if self._ended is None:
                self._ended = frame.code, frame.reason
            self.transport.close()
            self._end()

    def _count_control(self) -> None:
        """Count a frame that brings the reader no message.

        Raises:
            FrameError: it was one too many. Nothing more is decoded.
        """
        self._control_refilled_at = self.control.consume(self._control_refilled_at, time_source.monotonic())
        if self._control_refilled_at == math.inf:
            assert self._parser is not None
            raise self._parser.refused(1008, "too many frames without a message")

    # The end

    def _fail(self, code: int, reason: str, seconds: float) -> None:
        """Close because of the client, an error or the server, and call its `websocket_closed`."""
        if self.is_open:
            self._write_close(code, reason, seconds)
            self._ended = code, reason
            self._end()
            self.resume()

    def _write_close(self, code: int, reason: str, seconds: float) -> None:
        self._write(close(code, reason))
        self.is_open = False
        self.pause_writing()
        self._schedule(seconds)

    def _end(self) -> None:
        """Call the reader's `websocket_closed`, once."""
        reader, self._unclosed_reader, self._reader = self._unclosed_reader, None, DISCARDING_READER
        self._text_reader = None
        if reader is not None:
            try:
                reader.websocket_closed(*(self._ended or (ABNORMAL, "")))
            except Exception:
                self._server.reader_failed()

    # Time

    def _schedule(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._server.wheel.schedule(self._deadline, self)

    def on_deadline(self, now: float) -> float | None:
        """Ping, or cut a connection whose time is over. Returns when to call again."""
        if self._lost or self._deadline == math.inf:
            return None
        if now >= self._deadline:
            if not self.is_open:
                self.transport.abort()
                return None
            self._keep_alive(now)
        return self._deadline

    def _keep_alive(self, now: float) -> None:
        """Ping a silent client, and close one that does not answer. A client that is not read is not silent."""
        interval, timeout = self._server.ping_interval, self._server.ping_timeout
        assert interval is not None
        silent = not self._active and not self._paused
        self._active = False
        self._deadline = now + interval
        if silent and self._awaiting_pong:
            self._fail(1011, "keepalive ping timeout", self.close_timeout)
            return
        if silent:
            self._write(ping())
            self._deadline = now + (timeout or interval)
        self._awaiting_pong = silent and timeout is not None
