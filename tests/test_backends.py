"""The backends that the settings select."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway
from tests.support.new_python import printed_by

SECRET = "a secret for tests that is long enough"
URL = "redis://127.0.0.1:6379"

PROGRAM = """
import asyncio, sys
from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway

async def host(scope, receive, send): ...

async def main():
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    async with RealtimeMiddleware(host, gateways=[SocketIOGateway("/")], settings=settings).realtime:
        pass

asyncio.run(main())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"redis", "hiredis"}))
"""


def test_an_application_without_redis_does_not_import_its_client() -> None:
    assert printed_by(PROGRAM) == "[]\n"


@pytest.mark.parametrize(
    ("of_settings", "of_middleware", "recovers"),
    [
        ({}, {}, True),
        ({"redis_url": URL}, {}, True),
        ({}, {"redis": Redis.from_url(URL)}, True),
        ({"recovery_window": 0}, {}, False),
        ({"recovery_window": 0, "redis_url": URL}, {}, False),
    ],
    ids=["one process", "MEW_REDIS_URL", "redis=", "off", "off, with MEW_REDIS_URL"],
)
def test_clients_recover_unless_it_is_turned_off(
    of_settings: dict[str, Any], of_middleware: dict[str, Any], recovers: bool
) -> None:
    settings = Settings(jwt_secret=SECRET, **of_settings)
    app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway("/")], settings=settings, **of_middleware)
    assert (app.realtime.recovery is not None) is recovers
