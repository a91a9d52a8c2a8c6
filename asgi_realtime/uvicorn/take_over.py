"""Takes a gateway's WebSockets over from a stock uvicorn.

uvicorn reads the request of a WebSocket and calls the application. If it is for a gateway, this package's own protocol
object takes the place of uvicorn's at the transport, before the WebSocket is accepted. From then on the WebSocket is
served as with `--ws asgi_realtime.uvicorn:WebSocketProtocol`: read by callbacks, written without ASGI, with limits on
frames, and without the objects that uvicorn keeps for each WebSocket. Other WebSockets of the host stay uvicorn's.

uvicorn's object is recognised by its exact type, behind ASGI's `receive` and `send`. Nothing is taken over if a
middleware of the host wraps one of them, because it may change what is sent. Nor is it if the client, against the
rules, has sent more than its request, because uvicorn's parser may have a part of it. (Where only the two bytes that a
frame begins with have come, that cannot be seen. Such a client is closed with 1002.)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime.outbound.stock.uvicorn import protocol_behind
from asgi_realtime.protocols.rfc6455.handshake import HandshakeError, upgrade_of

if TYPE_CHECKING:
    from asgi_realtime.uvicorn.taken_websocket import TakenWebSocket


async def serve_websocket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application for a WebSocket, which is taken over if its server is a stock uvicorn."""
    stock = protocol_behind(receive)
    if stock is not None and stock.transport.get_protocol() is not stock:
        # Under `asyncio.eager_task_factory` this runs within uvicorn's call that reads the request. At the end of that
        # call uvicorn sets its object at the transport, where it would replace ours.
        await asyncio.sleep(0)
    taken = _take_over(receive, send)
    if taken is None:
        await app(scope, receive, send)
    else:
        await taken.run(app, scope)


def _take_over(receive: Receive, send: Send) -> TakenWebSocket | None:
    """Take over the WebSocket that is served by these methods. None: it stays with its server, unchanged."""
    stock = protocol_behind(receive)
    if stock is None or stock is not protocol_behind(send) or not _is_new(stock):
        return None
    scope = stock.scope
    try:
        upgrade = upgrade_of(scope["raw_path"], scope["headers"], scope["subprotocols"])
    except HandshakeError:
        return None
    from asgi_realtime.uvicorn.taken_websocket import TakenWebSocket  # not at the top: uvicorn need not be installed

    taken = TakenWebSocket(stock, upgrade)
    _retire(stock)
    return taken


def _is_new(stock: Any) -> bool:
    """Whether nothing has happened but the request."""
    reader = getattr(stock.conn, "reader", None)
    return (
        not stock.handshake_complete
        and stock.queue.qsize() == 1  # `websocket.connect`
        and not getattr(reader, "buffer", b"")
    )


def _retire(stock: Any) -> None:
    """Leave uvicorn's object nothing to do when its coroutine returns, and no reference cycle."""
    stock.handshake_complete = True
    stock.transport = _NO_TRANSPORT
    vars(stock.conn).pop("parser", None)  # a generator, which refers to its parser


class _NoTransport(asyncio.Transport):
    """The transport of a connection that is gone."""

    def close(self) -> None:
        """Do nothing."""

    def is_closing(self) -> bool:
        return True


_NO_TRANSPORT = _NoTransport()
