"""The target app, started by a server's command line: `python -m uvicorn tests.support.target_command:app`."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime import Settings, SocketIOGateway, on
from tests.support.servers import Implementation
from tests.support.target_app import Target, by_name
from tests.support.target_process import Process, target_process

_ARGUMENTS: Final[dict[Implementation, tuple[str, ...]]] = {
    "uvicorn": ("--port", "0", "--ws", "auto"),
    "uvicorn-wsproto": ("--port", "0", "--ws", "wsproto"),
    "WebSocketProtocol": ("--port", "0", "--ws", "asgi_realtime.uvicorn:WebSocketProtocol"),
    "hypercorn": ("--bind", "127.0.0.1:0"),
}


class WorkGateway(SocketIOGateway):
    """Its one handler sleeps for the seconds in the event, and prints whether it ended or was cancelled."""

    def __init__(self) -> None:
        super().__init__("/work", authenticator=by_name)

    @on("work")
    async def work(self, seconds: float) -> None:
        print("work has begun", flush=True)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            print("work is cancelled", flush=True)
            raise
        print("work has ended", flush=True)


_target: Final = Target(WorkGateway(), settings=Settings.from_env())
app: ASGIApp = _target.app


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    """The app, which broadcasts to every client while it runs."""
    broadcasts = asyncio.create_task(_broadcast()) if scope["type"] == "lifespan" else None
    await app(scope, receive, send)
    if broadcasts is not None:
        broadcasts.cancel()


async def _broadcast() -> None:
    while True:
        await asyncio.sleep(0.002)
        for gateway in (_target.gateway.name, _target.path.name):
            if _target.realtime.lifecycle.loop is not None:
                await _target.realtime.broadcaster.broadcast_to_room("everybody", "event", "x" * 200, gateway=gateway)


def served_process(
    folder: Path, implementation: Implementation, *flags: str, app: str = "app", environ: dict[str, str] | None = None
) -> AbstractAsyncContextManager[Process]:
    """Run an app of this module on a server, with more flags of its command line, until the block ends."""
    module = "hypercorn" if implementation == "hypercorn" else "uvicorn"
    return target_process(
        folder, f"{__name__}:{app}", *_ARGUMENTS[implementation], *flags, module=module, environ=environ
    )
