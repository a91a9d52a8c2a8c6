"""Which optional packages an app without them imports: it is made, started, and broadcasts to its client."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

OPTIONAL: Final = ("prometheus_client", "opentelemetry", "click", "rich")
"""Imported for `metrics=PrometheusMetrics()`, `tracing=OpenTelemetryTracing()` and the commands."""
_PROGRAM: Final = """
import asyncio, sys
from starlette.applications import Starlette
import asgi_realtime.uvicorn
from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, create_token

settings = Settings(jwt_secret="a secret for measurements, long enough")
app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway(), WebSocketGateway("/json")], settings=settings)

async def main():
    received, sent = asyncio.Queue(), asyncio.Queue()
    query = b"token=" + create_token("ann", settings).encode()
    scope = {"type": "websocket", "path": "/json", "query_string": query, "headers": []}
    received.put_nowait({"type": "websocket.connect"})
    async with app.realtime:
        client = asyncio.create_task(app(scope, received.get, sent.put))
        while "auth_success" not in str(await sent.get()):
            pass
        received.put_nowait({"type": "websocket.receive", "text": '{"type":"ping"}'})
        await app.broadcaster.broadcast_to_user("ann", "said", gateway="/json")
        while "said" not in str(await sent.get()):
            pass
        received.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await client

asyncio.run(asyncio.wait_for(main(), 60))
print(*{name.partition(".")[0] for name in sys.modules})
"""


def imported() -> list[str]:
    """Those of the optional packages that were imported, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    return [name for name in OPTIONAL if name in done.stdout.split()]
