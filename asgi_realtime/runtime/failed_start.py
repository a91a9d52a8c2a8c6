"""An ASGI app that replaces an app that cannot start."""

from __future__ import annotations

import logging
import traceback

from starlette.types import Receive, Scope, Send

from asgi_realtime.errors import ConfigurationError

logger = logging.getLogger("asgi_realtime")

_BODY = b"Internal Server Error: asgi_realtime did not start. The server's log has the reason.\n"


class FailedStart:
    """An ASGI app that ends the server's start-up with an error.

    Where the server has no lifespan, or continues without one, every request is answered with HTTP
    500 and every WebSocket is refused. The error is logged once, not for each request.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.message = _message(error)
        self._logged = False

    async def report(self, send: Send) -> None:
        """Report the failed start-up to the server, and raise the error, which test clients expect."""
        await send({"type": "lifespan.startup.failed", "message": self.message})
        if isinstance(self.error, Exception):  # the others would end the event loop
            raise self.error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope."""
        if scope["type"] == "lifespan":
            await receive()
            await self.report(send)
            return
        if not self._logged:
            self._logged = True
            logger.error("%s", self.message)
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BODY))]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY, "more_body": False})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011, "reason": "not started"})


def _message(error: BaseException) -> str:
    """One line for a mistake in the configuration; for an exception of the host its traceback."""
    if isinstance(error, ConfigurationError):
        return f"asgi_realtime: {error}"
    return "asgi_realtime could not start:\n" + "".join(traceback.format_exception(error)).rstrip()
