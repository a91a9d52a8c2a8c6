"""One node of an app with python-socketio's API: `python -m tests.support.socketio_app` serves it on a free port.

`POST /call` calls a method of the node's server. `SOCKETIO` is `python-socketio` for that package on its manager for
Redis, and `asgi_realtime` (the default) for this package.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import os
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def make_server() -> tuple[Any, Any]:
    """The server, and the module that it is of."""
    if os.environ.get("SOCKETIO") == "python-socketio":
        import socketio as theirs

        url, channel = os.environ["MEW_REDIS_URL"], os.environ["MEW_REDIS_PREFIX"]
        manager = theirs.AsyncRedisManager(url, channel=channel)
        # Its tasks of a session end at the next heartbeat, so the interval is short.
        return theirs.AsyncServer(async_mode="asgi", client_manager=manager, ping_interval=0.3), theirs
    from asgi_realtime import socketio as ours

    return ours.AsyncServer(async_mode="asgi"), ours


sio, module = make_server()
answers: list[Any] = []
"""What callbacks were called with."""


async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    await sio.save_session(sid, {"auth": auth})


async def join(sid: str, room: str) -> str:
    await sio.enter_room(sid, room)
    return sid


async def disconnect(sid: str, reason: str) -> None:
    await sio.emit("left", (sid, reason), room="watchers")


for handler in (connect, join, disconnect):
    sio.on(handler.__name__, handler)


async def call(request: Request) -> Response:
    """Call a method of the server: `{"method", "arguments", "options"}`. Returns `{"result"}` or `{"error"}`.

    The method `answers` returns what callbacks were called with since `forget answers`, as texts. The option `callback`
    is True to have one.
    """
    wanted = await request.json()
    options = wanted["options"]
    if wanted["method"] == "answers":
        return JSONResponse({"result": answers})
    if wanted["method"] == "forget answers":
        answers.clear()
        return JSONResponse({"result": None})
    if options.pop("callback", False):
        options["callback"] = lambda *values: answers.append(list(map(str, values)))
    try:
        result = getattr(sio, wanted["method"])(*wanted["arguments"], **options)
        return JSONResponse({"result": await result if inspect.isawaitable(result) else result})
    except Exception as error:
        return JSONResponse({"error": type(error).__name__, "message": str(error)})


app = module.ASGIApp(sio, Starlette(routes=[Route("/call", call, methods=["POST"])]), on_shutdown=sio.shutdown)

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.socketio_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(app, port=0)
