"""The ASGI application of a project: Django's own, and the gateways beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django.core.asgi
from starlette.types import ASGIApp

from asgi_realtime.django.configuration import get_settings, read_gateways
from asgi_realtime.django.database_threads import DatabaseThreads
from asgi_realtime.django.process_broadcaster import process_broadcaster
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.metrics import Metrics
from asgi_realtime.middleware import RealtimeMiddleware
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asgi_realtime.redis.ready_client import RedisClient


def get_asgi_application(
    *, metrics: Metrics | None = None, tracing: Tracing | None = None, redis: RedisClient | None = None
) -> RealtimeMiddleware:
    """Return the application for `asgi.py`: Django's, and the gateways of the setting `ASGI_REALTIME` beside it.

    It sets Django up, as `django.core.asgi.get_asgi_application` does. The arguments are those of
    `RealtimeMiddleware`.

    Raises:
        ConfigurationError: if `asgi_realtime.django` is not in `INSTALLED_APPS`, or the setting is wrong.
    """
    app = django.core.asgi.get_asgi_application()
    process = process_broadcaster()
    settings = get_settings()
    middleware = _DjangoMiddleware(app, read_gateways(), settings, metrics, tracing, redis)
    process.middleware = middleware
    return middleware


class _DjangoMiddleware(RealtimeMiddleware):
    """The middleware, with handlers whose connections to the database are closed as those of views are."""

    def __init__(
        self,
        app: ASGIApp,
        gateways: Sequence[Mountable],
        settings: Settings,
        metrics: Metrics | None,
        tracing: Tracing | None,
        redis: RedisClient | None,
    ) -> None:
        self._around_host_code = DatabaseThreads(settings.host_threads)
        super().__init__(app, gateways=gateways, settings=settings, metrics=metrics, tracing=tracing, redis=redis)
