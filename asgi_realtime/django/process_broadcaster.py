"""The broadcaster of this process: the app's, or one that is connected to Redis."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from typing import Any

from django.apps import apps

from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.django.configuration import get_settings, read_gateways
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.middleware import RealtimeMiddleware

LABEL = "asgi_realtime"
"""The label of the Django app, which has the `ProcessBroadcaster`."""


class ServesNoClients(ConfigurationError):
    """This process serves no clients, and there is no Redis through which it could send to those of others."""

    def __init__(self) -> None:
        super().__init__(
            "this process serves no clients; set MEW_REDIS_URL, here and in the processes that do, to send from here"
        )


class ProcessBroadcaster:
    """Finds the broadcaster. A connection to Redis is made at its first use, and stays until the process ends."""

    def __init__(self) -> None:
        self.middleware: RealtimeMiddleware | None = None
        """What `get_asgi_application` made last. None: this process serves no clients."""
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # After a fork, the event loop of the connection is in the other process, and the lock may be held there.
        self._lock = threading.Lock()
        self._connected: SyncBroadcaster | None = None

    def served(self) -> Broadcaster | None:
        """The broadcaster of the app. None: it does not run in this process."""
        middleware = self.middleware
        return middleware.broadcaster if middleware is not None and middleware.realtime.lifecycle.loop else None

    def connected(self) -> SyncBroadcaster:
        """The broadcaster that is connected to Redis.

        Raises:
            ServesNoClients: if `MEW_REDIS_URL` is not set.
            BrokerUnavailable: if Redis cannot be reached. The next call tries again.
        """
        with self._lock:
            if self._connected is None:
                settings = get_settings()
                if not settings.redis_url:
                    raise ServesNoClients
                stack = contextlib.ExitStack()
                connecting = SyncBroadcaster.connect(gateways=read_gateways(), settings=settings)
                self._connected = stack.enter_context(connecting)
                atexit.register(stack.close)
            return self._connected


def process_broadcaster() -> ProcessBroadcaster:
    """That of this process.

    Raises:
        ConfigurationError: if the app is not installed.
    """
    try:
        config: Any = apps.get_app_config(LABEL)
    except LookupError:
        raise ConfigurationError('add "asgi_realtime.django" to INSTALLED_APPS') from None
    found: ProcessBroadcaster = config.broadcaster
    return found
