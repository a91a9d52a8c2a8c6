"""A host's own instrumentation: a span for each request, and for each WebSocket as long as it is open."""

from __future__ import annotations

from opentelemetry.trace import Tracer
from starlette.types import ASGIApp, Receive, Scope, Send


class HostSpans:
    """A middleware that makes a span current while a request is served, as the instrumentations for ASGI do."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        with self._tracer.start_as_current_span(f"{scope['type']} {scope['path']}"):
            await self.app(scope, receive, send)
