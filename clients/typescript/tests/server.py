"""The server for the tests of the client: job status on `/ws`, and routes that broadcast it.

Prints its port, and stops when its standard input ends.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_realtime import JobsGateway, RealtimeMiddleware, Settings, get_jobs_broadcaster

HEARTBEAT = 30.0


async def broadcast(request: Request) -> JSONResponse:
    """Broadcast the event in the path for the job in the path. Returns the number of recipients."""
    broadcaster = await get_jobs_broadcaster(request)
    job_id = request.path_params["job_id"]
    match request.path_params["event"]:
        case "status":
            receipt = await broadcaster.status(job_id, "RUNNING", current_stage="OUTLINE", completed_stages=["PLAN"])
        case "stage":
            receipt = await broadcaster.stage_completed(job_id, "OUTLINE", next_stage="STORYBOARD")
        case _:
            receipt = await broadcaster.error(job_id, "Stage execution failed", stage="STORYBOARD")
    return JSONResponse(receipt.delivered_locally)


app = RealtimeMiddleware(
    Starlette(routes=[Route("/jobs/{job_id}/{event}", broadcast, methods=["POST"])]),
    gateways=[JobsGateway(heartbeat_interval=HEARTBEAT)],
    settings=Settings(ws_allow_demo_token=True, ws_auth_token="a token of the tests"),
)


def main() -> None:
    argparse.ArgumentParser(prog="python -m clients.typescript.tests.server", description=__doc__).parse_args()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))

    def stop_at_end_of_input() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        server.run([listener])


if __name__ == "__main__":
    main()
