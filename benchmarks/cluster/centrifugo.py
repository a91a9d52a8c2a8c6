"""Centrifugo, compiled from its sources by Go if this machine has Go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from benchmarks.catalogue import HERE

VERSION = "v6.9.1"
FOLDER = HERE.parent / ".cache" / f"centrifugo-{VERSION}"
PROGRAM = FOLDER / "centrifugo"
COMMAND = (str(PROGRAM), "--http_server.port", "{port}")
SETTINGS = {
    "CENTRIFUGO_ENGINE_TYPE": "redis",
    "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
    "CENTRIFUGO_HTTP_API_INSECURE": "true",
    "CENTRIFUGO_CLIENT_INSECURE": "true",  # clients need no token
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE": "32",  # as long as that of asgi_realtime here
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL": "300s",
    "CENTRIFUGO_CLIENT_QUEUE_MAX_SIZE": "16777216",  # a burst must not disconnect the client
    "CENTRIFUGO_LOG_LEVEL": "error",
}
_GO = ("go", "/usr/local/go/bin/go")


def missing() -> str | None:
    """Compile it if that has not been done, which takes some minutes. Returns why it cannot run, or None."""
    if PROGRAM.exists():
        return None
    go = next(filter(None, map(shutil.which, _GO)), None)
    if go is None:
        return "Go is not installed, which compiles it"
    print(f"Centrifugo {VERSION} is being compiled. This takes some minutes, once.", file=sys.stderr, flush=True)
    command = [go, "install", f"github.com/centrifugal/centrifugo/v6@{VERSION}"]
    done = subprocess.run(command, env={**os.environ, "GOBIN": str(FOLDER)}, capture_output=True, text=True)
    if done.returncode:
        return f"Go could not compile it: {done.stderr.strip().splitlines()[-1]}"
    return None
