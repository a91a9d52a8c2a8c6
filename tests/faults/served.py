"""The target as servers run it by their command line, such as `python -m uvicorn tests.faults.served:app`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from asgi_realtime import Settings
from tests.faults.process import Process, target_process
from tests.faults.target import Target
from tests.servers import Implementation

_APP: Final = "tests.faults.served:app"
_ARGUMENTS: Final[dict[Implementation, tuple[str, ...]]] = {
    "uvicorn": ("--port", "0", "--ws", "auto"),
    "uvicorn-wsproto": ("--port", "0", "--ws", "wsproto"),
    "lean": ("--port", "0", "--ws", "asgi_realtime.uvicorn:WebSocketProtocol"),
    "hypercorn": ("--bind", "127.0.0.1:0"),
}

app: ASGIApp = Target(settings=Settings.from_env()).app


def served_process(
    folder: Path, implementation: Implementation, *flags: str, environ: dict[str, str] | None = None
) -> AbstractAsyncContextManager[Process]:
    """Run the app on a server, with more flags of its command line, until the block ends."""
    module = "hypercorn" if implementation == "hypercorn" else "uvicorn"
    return target_process(folder, _APP, *_ARGUMENTS[implementation], *flags, module=module, environ=environ)
