"""Host code that calls `sys.exit()` or raises a `CancelledError` of its own, and clients of its gateways."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

from starlette.applications import Starlette

from asgi_realtime import (
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
)
from asgi_realtime.testing import RealtimeTestClient

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
INTERNAL = {"success": False, "code": "INTERNAL", "message": "internal error"}


def leave() -> NoReturn:
    sys.exit("a parser of arguments did this")


def cancelled() -> NoReturn:
    raise asyncio.CancelledError


def plain(how: Callable[[], NoReturn]) -> Callable[..., Any]:
    def call(*arguments: object) -> None:
        how()

    return call


def coroutine(how: Callable[[], NoReturn]) -> Callable[..., Any]:
    async def call(*arguments: object) -> None:
        await asyncio.sleep(0)  # not in its first step
        how()

    return call


def client_of(*gateways: Any) -> RealtimeTestClient:
    return RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS), timeout=10)


@contextlib.asynccontextmanager
async def two(*gateways: Any) -> AsyncIterator[tuple[RealtimeTestClient, Any, Any]]:
    """A client of the first gateway, and one that must not notice what the first one does."""
    async with client_of(*gateways, SocketIOGateway("/other")) as client:
        async with client.connect("/other", token=client.token("bob")) as bob:
            async with client.connect(getattr(gateways[0], "name", "/"), token=client.token("ann")) as ann:
                yield client, ann, bob
            await client.broadcaster.of("/other").broadcast_to_all("still here")
            await bob.expect("still here")
