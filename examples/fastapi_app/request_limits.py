"""Limits on requests, checked before anything else."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestLimits:
    """Answers 413 if the body exceeds `body_bytes`, also if it is chunked, and 400 if the URL contains a NUL."""

    def __init__(self, app: ASGIApp, *, body_bytes: int) -> None:
        self.app = app
        self.body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if (
            "\0" in scope["path"] or b"%00" in scope["query_string"]
        ):  # no id or search contains one, and PostgreSQL rejects it
            return await JSONResponse({"detail": "a URL holds no NUL"}, 400)(scope, receive, send)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.body_bytes:
                raise HTTPException(413, f"a body has at most {self.body_bytes} bytes")
            return message

        await self.app(scope, counted, send)
