"""One node with Chat and Jobs: `python -m tests.support.json_systems_app` serves it on a free port.

`POST /call` calls a method of the node's broadcaster, or of a typed one: `chat.kick`, `jobs.status`. With `sync` before
its name, such as `chat.sync.kick`, it is called in a thread. `DATABASE` names Chat's database, which the nodes share.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_realtime import (
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    Identity,
    JobsBroadcaster,
    JobsGateway,
    JobStatus,
    RealtimeMiddleware,
    get_broadcaster,
)
from tests.support.call_route import answer
from tests.support.chat_app import Service

CHAT = "/chat"
MANY_DEVICES = "/devices"
"""Chat without the limit of one device."""
JOBS = "/ws"
SHARED_TOKEN = "a-token-that-clients-share"
"""`WS_AUTH_TOKEN` of the nodes."""


class Jobs:
    """The host of the jobs. Only Ann may see `secret`, and `over` has ended long ago."""

    async def may_join(self, identity: Identity, job_id: str) -> bool:
        return job_id != "secret" or identity.user_id == "ann"

    async def last_status(self, job_id: str) -> JobStatus | None:
        return JobStatus(job_id=job_id, status="COMPLETED") if job_id == "over" else None


async def call(request: Request) -> Response:
    """Call a method of a broadcaster: `{"method", "arguments", "options"}`."""
    wanted = await request.json()
    broadcaster = await get_broadcaster(request)
    kind, _, method = wanted["method"].rpartition(".")
    target: Any = {
        "": broadcaster,
        "chat": ChatBroadcaster(broadcaster.of(CHAT)),
        "devices": ChatBroadcaster(broadcaster.of(MANY_DEVICES)),
        "jobs": JobsBroadcaster(broadcaster.of(JOBS)),
    }[kind.removesuffix(".sync")]
    arguments = wanted["arguments"]
    if method == "message":
        arguments = [msgspec.convert(arguments[0], ChatMessage)]
    return await answer(target.sync if kind.endswith(".sync") else target, method, arguments, wanted["options"])


def make_app(database: Path) -> RealtimeMiddleware:
    service = Service(database)
    return RealtimeMiddleware(
        Starlette(routes=[Route("/call", call, methods=["POST"])]),
        gateways=[
            ChatGateway(CHAT, service=service),
            ChatGateway(MANY_DEVICES, service=service, one_device=False),
            JobsGateway(JOBS, service=Jobs()),
        ],
    )


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.json_systems_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(make_app(Path(os.environ["DATABASE"])), port=0)
