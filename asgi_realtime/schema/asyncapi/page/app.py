"""The ASGI app that serves the page of an AsyncAPI document, and the document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.websockets import WebSocketClose

from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.mounted import mounted_in, no_middleware
from asgi_realtime.realtime import Realtime
from asgi_realtime.schema.asyncapi.document import asyncapi
from asgi_realtime.schema.asyncapi.page.render import POLICY, render
from asgi_realtime.schema.gateway_kinds import AnyGateway

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-cache",
}


class AsyncAPIPage:
    """An ASGI app that shows the events of gateways to people, and as an AsyncAPI document to programs.

    `Route("/asyncapi", page)` answers with the page, and `Route("/asyncapi.json", page)` with the document: any path
    that ends with `.json` does. It does not ask for a token.

    Args:
        gateways: classes or instances. None: those of the `RealtimeMiddleware` in front of the route, except those with
            `include_in_schema = False`, as `RealtimeConsole` has it.
        title: what the page and the document are called.
        version: the version of the application's events.
        server: such as `wss://example.com`. None: a placeholder for the host.
        socketio_path: the path of Engine.IO. None: that of the middleware's settings, or `/socket.io` with `gateways`.

    The document is made at the first request. A payload type that has no JSON schema raises `TypeError` there, and
    `ValueError` is raised as by `asgi-realtime asyncapi`. Without `gateways` and without a middleware a request raises
    `ConfigurationError`.
    """

    def __init__(
        self,
        gateways: Sequence[AnyGateway] | None = None,
        *,
        title: str = "Realtime events",
        version: str = "1.0.0",
        server: str | None = None,
        socketio_path: str | None = None,
    ) -> None:
        self._gateways = gateways
        self._title = title
        self._version = version
        self._server = server
        self._socketio_path = socketio_path
        self._document: dict[str, object] = {}
        self._made_for: Realtime | None = None
        self._page = ("", "")  # the address of the document, and the page with a link to it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A WebSocket is refused."""
        answer = WebSocketClose() if scope["type"] == "websocket" else self._response(scope)
        await answer(scope, receive, send)

    def _response(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD", 405, {"allow": "GET, HEAD"})
        self._make_once(scope)
        path: str = scope["path"]
        if path.endswith(".json"):
            text = json.dumps(self._document, ensure_ascii=False)
            return Response(text, media_type="application/json", headers=_HEADERS)
        address = f"./{quote(path.rpartition('/')[2] or 'asyncapi')}.json"
        if self._page[0] != address:
            self._page = address, render(self._document, json_address=address)
        return HTMLResponse(self._page[1], headers=_HEADERS)

    def _make_once(self, scope: Scope) -> None:
        realtime = None if self._gateways is not None else _realtime_of(scope)
        if not self._document or self._made_for is not realtime:
            self._document, self._made_for = self._make(realtime), realtime
            self._page = ("", "")

    def _make(self, realtime: Realtime | None) -> dict[str, object]:
        gateways, path = self._gateways or (), self._socketio_path
        if realtime is not None:
            # Those of a SocketIOServer declare no events.
            own = [gateway for gateway in realtime.gateways if isinstance(gateway, Gateway)]
            gateways = [gateway for gateway in own if gateway.include_in_schema]
            path = path or realtime.settings.socketio_path
        return asyncapi(
            gateways,
            title=self._title,
            version=self._version,
            server=self._server,
            socketio_path="/" + (path or "/socket.io").strip("/"),
        )


def _realtime_of(scope: Scope) -> Realtime:
    found = [mounted for mounted in mounted_in(scope) if isinstance(mounted, Realtime)]
    if not found:
        raise no_middleware()
    return found[0]
