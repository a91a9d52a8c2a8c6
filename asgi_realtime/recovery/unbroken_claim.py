"""Completes the claim of a recovery session although the connection of its client breaks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from asgi_realtime.recovery.returning_client import ReturningClient
from asgi_realtime.runtime.tasks import HOST_ERRORS, Tasks, ends_this_task


async def unbroken_claim(
    claim: Coroutine[Any, Any, ReturningClient | None], *, put_back: Callable[[ReturningClient], None], tasks: Tasks
) -> ReturningClient | None:
    """Await `SessionClaims.claim`. If the caller is cancelled, the session is put back when it has been claimed.

    A session is given away once, and Redis may have given it away when the client is gone. So the claim runs to its end
    as a task of its own.

    Raises:
        BrokerUnavailable: as `SessionClaims.claim`.
        BaseException: what the host's `recovered_identity` raised.
    """
    claiming = tasks.spawn(_outcome(claim), name="claiming a recovery session")
    try:
        outcome = await asyncio.shield(claiming)
    except asyncio.CancelledError:
        claiming.add_done_callback(lambda done: _put_back(done, put_back))
        raise
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _outcome(claim: Coroutine[Any, Any, ReturningClient | None]) -> ReturningClient | BaseException | None:
    try:
        return await claim
    except HOST_ERRORS as error:  # a task that raises is logged
        if ends_this_task(error):
            raise
        return error


def _put_back(
    claiming: asyncio.Task[ReturningClient | BaseException | None], put_back: Callable[[ReturningClient], None]
) -> None:
    client = None if claiming.cancelled() or claiming.exception() is not None else claiming.result()
    if isinstance(client, ReturningClient):
        put_back(client)
