"""A middleware of a host that wraps ASGI's `send`."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class WrappedSend:
    """An app that wraps `send`, and so hides the `send` of the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def wrapped(message: Message) -> None:
            await send(message)

        await self._app(scope, receive, wrapped)
