"""`own_socketio`, whose garbage collector is observed and set by requests.

- `POST /collector/default`, `/collector/freeze`, `/collector/threshold`: Python's settings; all objects so far are left
  alone (`gc.freeze`); or the youngest generation has a hundred times as many objects;
- `POST /collector/pauses` answers with the pauses since the last such request, and `/collector/full` with one full
  collection, in seconds.
"""

from __future__ import annotations

import gc
import json
import time
from collections import defaultdict

from starlette.types import Receive, Scope, Send

from benchmarks.systems.own_socketio import app as observed

_THRESHOLD = gc.get_threshold()
_pauses: defaultdict[int, list[float]] = defaultdict(list)
_begun = 0.0


def _observe(phase: str, info: dict[str, int]) -> None:
    global _begun
    if phase == "start":
        _begun = time.perf_counter()
    else:
        _pauses[info["generation"]].append(time.perf_counter() - _begun)


gc.callbacks.append(_observe)


def _set(wanted: str) -> None:
    gc.unfreeze()
    gc.set_threshold(*_THRESHOLD)
    if wanted == "freeze":
        gc.collect()
        gc.freeze()
    elif wanted == "threshold":
        gc.set_threshold(_THRESHOLD[0] * 100, *_THRESHOLD[1:])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer requests to the collector, and pass all others on."""
    if scope["type"] != "http" or not scope["path"].startswith("/collector/"):
        await observed(scope, receive, send)
        return
    wanted = scope["path"].rpartition("/")[2]
    if wanted in ("default", "freeze", "threshold"):
        _set(wanted)
        _pauses.clear()
    elif wanted == "full":
        _pauses.clear()
        gc.collect()
    body = json.dumps(_pauses).encode()
    _pauses.clear()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
