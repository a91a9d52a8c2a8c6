"""The ASGI side of a WebSocket under uvicorn: scope, receive, send."""

from __future__ import annotations

import asyncio
import contextvars
import enum
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

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
from asgi_realtime.uvicorn.server import logger

if TYPE_CHECKING:
    from asgi_realtime.uvicorn.protocol import WebSocketProtocol

_HIGH_WATER: Final = 65_536
"""`send` waits while more bytes than this are buffered, until all are sent."""


class _Stage(enum.Enum):
    REQUEST = enum.auto()
    CONNECTING = enum.auto()
    ACCEPTED = enum.auto()
    REFUSING = enum.auto()
    ENDED = enum.auto()


class Conversation:
    """One WebSocket as its ASGI application knows it, from the request to the return of the coroutine.

    One message may wait for `receive`; meanwhile nothing more is read from the client.
    """

    __slots__ = (
        "_arrived",
        "_config",
        "_ended",
        "_head",
        "_message",
        "_protocol",
        "_response",
        "_scope",
        "_stage",
        "_state",
        "_told",
        "_upgrade",
        "_writable",
        "detached",
    )

    def __init__(
        self, protocol: WebSocketProtocol, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._protocol = protocol
        self._config = config
        self._state = server_state
        self._stage = _Stage.REQUEST
        self._head = bytearray()
        self._upgrade: handshake.Upgrade
        self._scope: dict[str, Any] = {"state": app_state}
        self._told = False  # the application, that somebody wants to connect
        self._message: str | bytes | None = None
        self._ended: tuple[int, str] | None = None
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._response: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self.detached = False
        """Whether the application reads the WebSocket without ASGI."""

    @property
    def transport(self) -> asyncio.Transport:
        """For who finds this object behind a `send`: what can abort the connection."""
        return self._protocol.transport

    # The protocol's side

    def request(self, data: bytes) -> bytes | None:
        """Take bytes of the request. Once it is whole: what comes after it."""
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
            self._protocol.conversation_over()
        else:
            self._begin()
        return rest

    def received(self, message: str | bytes) -> None:
        """Keep a message for `receive`, and read no more until it is fetched."""
        self._message = message
        self._protocol.pause()
        self._arrived.set()

    def closed(self, code: int, reason: str) -> None:
        """The WebSocket has ended, and not by the application."""
        if self._ended is None:
            self._ended = code, reason
        self._arrived.set()

    def writable(self) -> None:
        """The client has read everything, or is gone."""
        self._writable.set()

    def detach(self) -> str | bytes | None:
        """Leave the WebSocket to another reader, with what has come and was not fetched."""
        if self._stage is not _Stage.ACCEPTED or self.detached:
            raise RuntimeError("only an accepted WebSocket can be detached, and once")
        self.detached = True
        message, self._message = self._message, None
        return message

    def stop(self) -> None:
        """The server stops: whoever still waits to be accepted is told to come back."""
        if self._stage is _Stage.CONNECTING:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            self._stage = _Stage.ENDED
            self.closed(1012, "")

    # The application's side

    def _begin(self) -> None:
        config, protocol = self._config, self._protocol
        raw_path, _, query = self._upgrade.target.partition(b"?")
        self._scope |= {
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
            "state": self._scope["state"].copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: protocol},
        }
        self._stage = _Stage.CONNECTING
        # Newer releases of uvicorn can be told to run each application in a context of its own.
        context = contextvars.Context() if getattr(config, "reset_contextvars", False) else None
        task = asyncio.get_running_loop().create_task(self._run(), context=context)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _run(self) -> None:
        code = 1000
        try:
            result: object = await self._config.loaded_app(self._scope, self._receive, self._send)
            if result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        except ClientDisconnected:
            pass
        except Exception:
            logger.exception("Exception in ASGI application\n")
            code = 1011
        except BaseException:
            code = 1012
            raise
        finally:
            self._returned(code)

    def _returned(self, code: int) -> None:
        """The coroutine has ended: so does the WebSocket, unless it is detached and nothing went wrong."""
        if self._stage is _Stage.CONNECTING:
            if not self._protocol.lost and code == 1000:
                logger.error("ASGI callable returned without completing handshake.")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, body=b"Internal Server Error")
        elif self._stage is _Stage.REFUSING:
            self._protocol.abort()
        elif not self.detached or code != 1000:
            self._protocol.close(code)
        self._protocol.conversation_over()

    async def _receive(self) -> dict[str, Any]:
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        if self.detached:
            raise RuntimeError("this WebSocket is detached: its messages come by callback")
        if self._message is None:
            self._protocol.resume()
        while self._message is None:
            if self._ended is not None:
                return {"type": "websocket.disconnect", "code": self._ended[0], "reason": self._ended[1]}
            self._arrived.clear()
            await self._arrived.wait()
        message, self._message = self._message, None
        # A close right behind it would be answered before the application has said what it says to this.
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
            self.closed(code, reason)
            await self._drain()  # so that who sends knows whether it was read; the client has `close_timeout` for it
        elif self._stage is _Stage.CONNECTING:
            if self._protocol.lost:
                raise ClientDisconnected
            self._decide(kind, event)
        elif self._stage is _Stage.REFUSING and kind == "websocket.http.response.body":
            await self._drain()
            self._respond(event.get("body", b""), more=event.get("more_body", False))
        elif self._stage is _Stage.ENDED:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        else:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' for a WebSocket that is {self._stage.name.lower()}.")

    async def _drain(self) -> None:
        """Wait while the client is behind."""
        protocol = self._protocol
        while protocol.buffered > _HIGH_WATER and not protocol.lost:
            self._writable.clear()
            await self._writable.wait()

    def _decide(self, kind: str, event: MutableMapping[str, Any]) -> None:
        if kind == "websocket.accept":
            headers = [
                *self._state.default_headers,
                *((name.lower(), value) for name, value in event.get("headers", ())),
            ]
            extensions = deflate.agree(self._upgrade.extensions) if self._protocol.deflate else None
            response = handshake.accepted(self._upgrade, headers, event.get("subprotocol"), extensions)
            self._protocol.deflate = extensions is not None
            self._log("[accepted]")
            self._stage = _Stage.ACCEPTED
            self._protocol.accept(response)
        elif kind == "websocket.close":
            self._log("403")
            self._stage = _Stage.ENDED
            self._refuse(HTTPStatus.FORBIDDEN)
            self.closed(ABNORMAL, "")
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
        """Write the answer of an application that refuses, as it comes; its end is the connection's."""
        if self._response is not None:
            (status, headers), self._response = self._response, None
            body = handshake.response(status, self._with_defaults(headers, None if more else len(body)), body)
        self._protocol.refuse(body, more=more)
        if not more:
            self._stage = _Stage.ENDED
            self.closed(ABNORMAL, "")

    def _refuse(self, status: HTTPStatus, headers: handshake.Headers = (), body: bytes = b"") -> None:
        plain = [*headers, (b"content-type", b"text/plain; charset=utf-8")]
        self._protocol.refuse(handshake.response(status, self._with_defaults(plain, len(body)), body))

    def _with_defaults(self, headers: handshake.Headers, length: int | None) -> list[tuple[bytes, bytes]]:
        """An answer's headers with the server's own, the length if it is known, and that nothing follows."""
        defaults = [*self._state.default_headers, (b"connection", b"close")]
        if length is not None:
            defaults.append((b"content-length", str(length).encode()))
        names = {name.lower() for name, _ in headers}
        return [*headers, *(header for header in defaults if header[0] not in names)]

    def _log(self, what: str) -> None:
        # The scope is the application's by now, which may have taken secrets out of its query.
        logger.info(
            '%s - "WebSocket %s" %s',
            get_client_addr(self._scope),  # type: ignore[arg-type]
            get_path_with_query_string(self._scope),  # type: ignore[arg-type]
            what,
        )
