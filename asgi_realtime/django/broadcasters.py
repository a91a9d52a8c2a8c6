"""The broadcaster for views, signals, management commands and tasks."""

from __future__ import annotations

from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.django.process_broadcaster import process_broadcaster


def get_broadcaster() -> SyncBroadcaster:
    """Return the broadcaster for synchronous code: views, receivers of signals, management commands, Celery tasks.

    In a process that serves clients, it is the app's. In any other, such as one that was forked from it, it is
    connected to `MEW_REDIS_URL` at the first call. Without that variable no client gets what such a process sends, and
    a warning says so.

    Raises:
        BrokerUnavailable: if this process serves no clients and Redis cannot be reached.
    """
    process = process_broadcaster()
    served = process.served()
    return process.connected() if served is None else served.sync


async def aget_broadcaster() -> Broadcaster:
    """Return the broadcaster for coroutines of the process that serves clients, such as async views.

    In a process that serves no clients and has no Redis, such as a test, no client gets what it sends.

    Raises:
        ConfigurationError: if this process serves no clients and has Redis. Use `get_broadcaster` in a thread there.
    """
    process = process_broadcaster()
    served = process.served()
    return await process.on_this_loop() if served is None else served
