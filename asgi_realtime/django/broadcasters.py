"""The broadcaster for views, signals, management commands and tasks."""

from __future__ import annotations

from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.django.process_broadcaster import ServesNoClients, process_broadcaster


def get_broadcaster() -> SyncBroadcaster:
    """Return the broadcaster for synchronous code: views, receivers of signals, management commands, Celery tasks.

    In a process that serves clients, it is the app's. In any other, it is connected to Redis at the first call.

    Raises:
        ConfigurationError: if this process serves no clients and `MEW_REDIS_URL` is not set.
        BrokerUnavailable: if this process serves no clients and Redis cannot be reached.
    """
    process = process_broadcaster()
    served = process.served()
    return process.connected() if served is None else served.sync


async def aget_broadcaster() -> Broadcaster:
    """Return the broadcaster for coroutines of the process that serves clients, such as async views.

    Raises:
        ConfigurationError: if this process serves no clients. Use `get_broadcaster` in a thread there.
    """
    served = process_broadcaster().served()
    if served is None:
        raise ServesNoClients
    return served
