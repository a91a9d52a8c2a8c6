"""The broadcaster of this process: the app's, one that is connected to Redis, or one without clients."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from typing import Any

from django.apps import apps

from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.django.configuration import get_settings, read_gateways
from asgi_realtime.django.no_clients import broadcaster_without_clients, without_clients
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.middleware import RealtimeMiddleware
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.loop_thread import LoopThread

logger = logging.getLogger("asgi_realtime")

LABEL = "asgi_realtime"
"""The label of the Django app, which has the `ProcessBroadcaster`."""


class ProcessBroadcaster:
    """Finds the broadcaster. A connection to Redis is made at its first use, and stays until the process ends.

    Without Redis, a process that serves no clients may still send: receivers of signals also run in `loaddata`, in a
    shell and in tests of views. A warning says once that no client gets it.
    """

    def __init__(self) -> None:
        self.middleware: RealtimeMiddleware | None = None
        """What `get_asgi_application` made last. None: this process serves no clients."""
        self.failures = FailureLog()
        """Logs what failed after the change of a table, when it is too late to tell the caller."""
        self._warned = False
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # After a fork, the event loop of the connection is in the other process, and the lock may be held there.
        self._lock = threading.Lock()
        self._connected: SyncBroadcaster | None = None

    def served(self) -> Broadcaster | None:
        """The broadcaster of the app. None: it does not run in this process, or ran when this process was forked."""
        if self.middleware is None:
            return None
        realtime = self.middleware.realtime
        return realtime.broadcaster if realtime.lifecycle.loop and not realtime.loop_bridge.forked else None

    def connected(self) -> SyncBroadcaster:
        """The broadcaster of a process that serves no clients, for threads.

        Raises:
            BrokerUnavailable: if Redis cannot be reached. The next call tries again.
        """
        with self._lock:
            if self._connected is None:
                settings, gateways = get_settings(), read_gateways()
                stack = contextlib.ExitStack()
                if settings.redis_url:
                    connecting = SyncBroadcaster.connect(gateways=gateways, settings=settings)
                    self._connected = stack.enter_context(connecting)
                else:
                    self._warn()
                    without = without_clients(gateways, settings)
                    self._connected = stack.enter_context(LoopThread(without, name="SyncBroadcaster")).sync
                atexit.register(stack.close)
            return self._connected

    async def on_this_loop(self) -> Broadcaster:
        """The broadcaster of a process that serves no clients, for coroutines.

        Raises:
            ConfigurationError: with Redis. A connection belongs to one event loop, and this one may end at any time.
        """
        settings = get_settings()
        if settings.redis_url:
            raise ConfigurationError(
                "this process serves no clients; call get_broadcaster() in a thread, or connect on this event loop: "
                "async with Broadcaster.connect(settings=get_settings(), gateways=...)"
            )
        self._warn()
        return await broadcaster_without_clients(read_gateways(), settings)

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("this process serves no clients and MEW_REDIS_URL is not set: no client gets what it sends")


def process_broadcaster() -> ProcessBroadcaster:
    """Return the object of this process.

    Raises:
        ConfigurationError: if the app is not installed.
    """
    try:
        config: Any = apps.get_app_config(LABEL)
    except LookupError:
        raise ConfigurationError('add "asgi_realtime.django" to INSTALLED_APPS') from None
    found: ProcessBroadcaster = config.broadcaster
    return found
