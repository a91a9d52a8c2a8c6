"""The ASGI side of a WebSocket under uvicorn: scope, receive, send."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import logging
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)
from uvicorn.server import ServerState

from asgi_realtime.outbound.frames_extension import EXTENSION
from asgi_realtime.protocols.rfc6455 import deflate, handshake
from asgi_realtime.protocols.rfc6455.frames import ABNORMAL, encode
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.uvicorn.cycle_transport import CycleTransport
from asgi_realtime.uvicorn.server_context import logger

_HIGH_WATER: Final = 65_536
"""`send` waits while more bytes than this are buffered, until all are sent."""


class _Stage(enum.Enum):
    REQUEST = enum.auto()
    CONNECTING = enum.auto()
    ACCEPTED = enum.auto()
    REFUSING = enum.auto()
    ENDED = enum.auto()
    STOPPED = enum.auto()  # refused by the server, not by the application


class WebSocketCycle:
    """One WebSocket and its ASGI coroutine, from the request to the coroutine's return.

    It has the same role for a WebSocket as uvicorn's `RequestResponseCycle` for a request. One message may wait for
    `receive`. Until it is fetched, nothing more is read from the client.
    """

    __slots__ = (
        "_wakeup",
        "_app_state",
        "_config",
        "_disconnected",
        "_head",
        "_message",
        "_protocol",
        "_response",
        "_scope",
        "_stage",
        "_state",
        "_connect_received",
        "_upgrade",
        "_drained",
        "detached",
    )

    def __init__(
        self, protocol: CycleTransport, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._protocol = protocol
        self._config = config
        self._state = server_state
        self._stage = _Stage.REQUEST
        self._head = bytearray()
        self._upgrade: handshake.Upgrade
        self._app_state = app_state
        self._scope: Scope
        self._connect_received = False  # by the application
        self._message: str | bytes | None = None
        self._disconnected: tuple[int, str] | None = None
        self._wakeup: asyncio.Event | None = None  # until something waits: most cycles never do
        self._drained: asyncio.Event | None = None
        self._response: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self.detached = False
        """Whether the application reads the WebSocket without ASGI."""

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, with which code that finds this object behind `send` can abort the connection."""
        return self._protocol.transport

    # For the protocol

    def request(self, data: bytes) -> bytes | None:
        """Take bytes of the request. Returns what follows the request, or None while it is not whole."""
        searched = max(len(self._head) - 3, 0)
        self._head += data
        end = self._head.find(b"\r\n\r\n", searched)
        if end < 0 and len(self._head) <= handshake.MAX_HEAD_BYTES:
            return None
        head, rest = bytes(self._head[: end + 4 if end >= 0 else None]), bytes(self._head[end + 4 :])
        self._head.clear()
        try:
            self._upgrade = handshake.parse(head)
        except handshake.HandshakeError as error:
            self._stage = _Stage.ENDED
            self._refuse(error.status, error.headers, str(error).encode())
            self._protocol.cycle_ended()
        else:
            self._begin()
        return rest

    def take_over(self, upgrade: handshake.Upgrade) -> None:
        """Begin with a request that the server has read. `run` is called next."""
        self._upgrade = upgrade
        self._stage = _Stage.CONNECTING

    def received(self, message: str | bytes) -> None:
        """Keep a message for `receive`. Nothing more is read until it is fetched."""
        self._message = message
        self._protocol.pause()
        if self._wakeup is not None:
            self._wakeup.set()

    def websocket_closed(self, code: int, reason: str) -> None:
        """The WebSocket has ended: `receive` returns `websocket.disconnect` from now on."""
        if self._disconnected is None:
            self._disconnected = code, reason
        if self._wakeup is not None:
            self._wakeup.set()

    def drained(self) -> None:
        """Everything is sent, or the client is gone."""
        if self._drained is not None:
            self._drained.set()

    def detach(self) -> str | bytes | None:
        """Give the WebSocket to another reader. Returns the message that waits for `receive`, if any."""
        if self._stage is not _Stage.ACCEPTED or self.detached:
            raise RuntimeError("only an accepted WebSocket can be detached, and once")
        self.detached = True
        message, self._message = self._message, None
        return message

    def stop(self) -> None:
        """The server stops: refuse a WebSocket that is not accepted yet."""
        if self._stage is _Stage.CONNECTING:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            self._stage = _Stage.STOPPED
            self.websocket_closed(1012, "")

    # For the application

    def _begin(self) -> None:
        config, protocol = self._config, self._protocol
        raw_path, _, query = self._upgrade.target.partition(b"?")
        scope = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(protocol.transport) else "ws",
            "server": get_local_addr(protocol.transport),
            "client": get_remote_addr(protocol.transport),
            "root_path": config.root_path,
            "path": config.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": config.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self._upgrade.headers,
            "subprotocols": self._upgrade.subprotocols,
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: protocol},
        }
        self._stage = _Stage.CONNECTING
        # Newer releases of uvicorn can run each application in a context of its own.
        context = contextvars.Context() if getattr(config, "reset_contextvars", False) else None
        task = new_task(self.run(config.loaded_app, scope), context=context)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run an application for this WebSocket. Its errors are logged."""
        self._scope = scope
        code = 1000
        try:
            result: object = await app(scope, self._receive, self._send)  # type: ignore[func-returns-value]
            if result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        except ClientDisconnected:
            pass
        except (Exception, SystemExit):  # as in uvicorn: `sys.exit()` for one client does not end the others
            logger.exception("Exception in ASGI application\n")
            code = 1011
        except BaseException:
            code = 1012
            raise
        finally:
            self._returned(code)

    def _returned(self, code: int) -> None:
        """The coroutine has returned. That ends the WebSocket, unless it is detached and nothing failed."""
        if self._stage is _Stage.CONNECTING:
            if not self._protocol.lost and code == 1000:
                logger.error("ASGI callable returned without completing handshake.")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, body=b"Internal Server Error")
        elif self._stage is _Stage.REFUSING:
            self._protocol.abort()
        elif not self.detached or code != 1000:
            self._protocol.close(code)
        self._protocol.cycle_ended()

    async def _receive(self) -> dict[str, Any]:
        if not self._connect_received:
            self._connect_received = True
            return {"type": "websocket.connect"}
        if self.detached:
            raise RuntimeError("this WebSocket is detached: its messages come by callback")
        if self._message is None:
            self._protocol.resume()
        while self._message is None:
            if self._disconnected is not None:
                return {"type": "websocket.disconnect", "code": self._disconnected[0], "reason": self._disconnected[1]}
            if self._wakeup is None:
                self._wakeup = asyncio.Event()
            self._wakeup.clear()
            await self._wakeup.wait()
        message, self._message = self._message, None
        # A close frame behind this message must not be answered before the application has answered the message.
        if not self._protocol.unread:
            self._protocol.resume()
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def _send(self, event: MutableMapping[str, Any]) -> None:
        kind = event["type"]
        if self._stage is _Stage.ACCEPTED and kind == "websocket.send":
            await self._drain()
            if not self._protocol.is_open:
                raise ClientDisconnected
            data = event.get("bytes")
            self._protocol.write(encode(event["text"] if data is None else data))
        elif self._stage is _Stage.ACCEPTED and kind == "websocket.close":
            code, reason = event.get("code", 1000), event.get("reason") or ""
            self._protocol.close(code, reason)
            self._stage = _Stage.ENDED
            self.websocket_closed(code, reason)
            await self._drain()  # `send` returns when it is sent, within `close_timeout`
        elif self._stage is _Stage.CONNECTING:
            if self._protocol.lost:
                raise ClientDisconnected
            self._answer(kind, event)
        elif self._stage is _Stage.STOPPED:
            raise ClientDisconnected
        elif self._stage is _Stage.REFUSING and kind == "websocket.http.response.body":
            await self._drain()
            self._respond(event.get("body", b""), more=event.get("more_body", False))
        elif self._stage is _Stage.ENDED:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        else:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' for a WebSocket that is {self._stage.name.lower()}.")

    async def _drain(self) -> None:
        """Wait while too much is buffered."""
        protocol = self._protocol
        while protocol.buffered > _HIGH_WATER and not protocol.lost:
            if self._drained is None:
                self._drained = asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    def _answer(self, kind: str, event: MutableMapping[str, Any]) -> None:
        if kind == "websocket.accept":
            headers = [
                *self._state.default_headers,
                *((name.lower(), value) for name, value in event.get("headers", ())),
            ]
            compress = self._protocol.deflate and self._config.ws_per_message_deflate
            extensions = deflate.agree(self._upgrade.extensions) if compress else None
            response = handshake.accepted(self._upgrade, headers, event.get("subprotocol"), extensions)
            self._protocol.deflate = extensions is not None
            self._log("[accepted]")
            self._stage = _Stage.ACCEPTED
            self._protocol.accept(response)
        elif kind == "websocket.close":
            self._log("403")
            self._stage = _Stage.ENDED
            self._refuse(HTTPStatus.FORBIDDEN)
            self.websocket_closed(ABNORMAL, "")
        elif kind == "websocket.http.response.start":
            status = event["status"]
            if not 200 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._log(str(status))
            self._stage = _Stage.REFUSING
            self._response = status, list(event.get("headers", ()))
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or 'websocket.http.response.start' "
                f"but got '{kind}'."
            )

    def _respond(self, body: bytes, *, more: bool) -> None:
        """Write a part of the response with which the application refuses. Its end closes the connection."""
        if self._response is not None:
            (status, headers), self._response = self._response, None
            body = handshake.response(status, self._with_defaults(headers, None if more else len(body)), body)
        self._protocol.refuse(body, more=more)
        if not more:
            self._stage = _Stage.ENDED
            self.websocket_closed(ABNORMAL, "")

    def _refuse(self, status: HTTPStatus, headers: handshake.Headers = (), body: bytes = b"") -> None:
        plain = [*headers, (b"content-type", b"text/plain; charset=utf-8")]
        self._protocol.refuse(handshake.response(status, self._with_defaults(plain, len(body)), body))

    def _with_defaults(self, headers: handshake.Headers, length: int | None) -> list[tuple[bytes, bytes]]:
        """Add the server's default headers, the length if it is known, and `connection: close`."""
        defaults = [*self._state.default_headers, (b"connection", b"close")]
        if length is not None:
            defaults.append((b"content-length", str(length).encode()))
        names = {name.lower() for name, _ in headers}
        return [*headers, *(header for header in defaults if header[0] not in names)]

    def _log(self, what: str) -> None:
        if logger.isEnabledFor(logging.INFO):
            # The path is read from the scope, because the application may have removed secrets from its query.
            logger.info(
                '%s - "WebSocket %s" %s',
                get_client_addr(self._scope),  # type: ignore[arg-type]
                get_path_with_query_string(self._scope),  # type: ignore[arg-type]
                what,
            )
