"""What an Engine.IO client is answered: payloads, and refusals in the form its library understands."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import msgspec
from starlette.types import Scope, Send

from asgi_realtime.auth.origins import Headers
from asgi_realtime.transports.accept import close_websocket

TEXT = b"text/plain; charset=UTF-8"
JSON = b"application/json"


class HTTPRefusal(Exception):
    """A request that is not served: an HTTP status, and Engine.IO's code and message for the client."""

    def __init__(
        self, status: HTTPStatus, code: int, message: str, reason: str | None = None, *, hang_up: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        """Why, for the log. None: there is a line already."""
        self.hang_up = hang_up
        """Whether the connection is of no more use: the rest of a body may still be on its way."""
        self.body = msgspec.json.encode({"code": code, "message": message})


class ClientGone(Exception):
    """The client went away in the middle of its request."""


# Codes and messages are those of the JavaScript server; its clients report them to their users.
def unknown_transport() -> HTTPRefusal:
    """The `transport` is none we offer."""
    return HTTPRefusal(
        HTTPStatus.BAD_REQUEST, 0, "Transport unknown", "a transport that is not offered (MEW_TRANSPORTS)"
    )


def unknown_session() -> HTTPRefusal:
    """The `sid` is of no session here: never was, is over, or belongs to another process."""
    return HTTPRefusal(HTTPStatus.BAD_REQUEST, 1, "Session ID unknown", "unknown session id")


def bad_method() -> HTTPRefusal:
    """A handshake is a GET; after it there are GET and POST."""
    return HTTPRefusal(HTTPStatus.BAD_REQUEST, 2, "Bad handshake method", "an HTTP method that has no use here")


def bad_request(reason: str | None = None) -> HTTPRefusal:
    """The session cannot take this request."""
    return HTTPRefusal(HTTPStatus.BAD_REQUEST, 3, "Bad request", reason)


def forbidden(reason: str) -> HTTPRefusal:
    """The origin may not use this server."""
    return HTTPRefusal(HTTPStatus.FORBIDDEN, 4, "Forbidden", reason)


def unsupported_version() -> HTTPRefusal:
    """Only revision 4 of the protocol is supported."""
    return HTTPRefusal(HTTPStatus.BAD_REQUEST, 5, "Unsupported protocol version", "a version of Engine.IO other than 4")


def too_large() -> HTTPRefusal:
    """A POST over `Limits.message_bytes`."""
    return HTTPRefusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 3, "Payload too large", "a POST over MEW_MESSAGE_BYTES", hang_up=True
    )


def too_slow() -> HTTPRefusal:
    """A POST that came more slowly than `Limits.body_timeout` and `Limits.body_rate` allow."""
    return HTTPRefusal(
        HTTPStatus.BAD_REQUEST, 3, "Bad request", "a POST that came too slowly (MEW_BODY_RATE)", hang_up=True
    )


def overloaded(reason: str) -> HTTPRefusal:
    """As many sessions as allowed, in all or from this address; or the server is stopping."""
    return HTTPRefusal(HTTPStatus.SERVICE_UNAVAILABLE, 3, "Too many sessions", reason)


def failed() -> HTTPRefusal:
    """The application could not be opened."""
    return HTTPRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, 3, "Internal error")


async def respond(send: Send, status: HTTPStatus, body: bytes, content_type: bytes, headers: Headers) -> None:
    """Answer an HTTP request, never to be cached. A client that has gone is no error (ASGI: `send` raises OSError)."""
    framing = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": framing + headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse_websocket(scope: Scope, send: Send, refusal: HTTPRefusal) -> None:
    """Refuse a WebSocket before it is accepted: with the status where the server can say it, else with its own 403."""
    if refusal.status is HTTPStatus.FORBIDDEN or "websocket.http.response" not in scope.get("extensions", {}):
        await close_websocket(send, 1008)
        return
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(refusal.body))]
    with contextlib.suppress(OSError):  # as in `respond`
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": refusal.body})
