"""The backends that the settings select."""

from __future__ import annotations

import subprocess
import sys

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
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[]\n"
