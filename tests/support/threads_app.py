"""A synchronous host beside Jobs: WSGI routes in threads and a worker thread, all of which broadcast.

`python -m tests.support.threads_app` serves it on a free port, with the settings of the environment.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterable
from typing import Any, cast

import uvicorn
from a2wsgi import WSGIMiddleware

from asgi_realtime import JobsBroadcaster, JobsGateway, RealtimeMiddleware


class Host:
    """Answers each request with the number of clients that its broadcast reached."""

    def __init__(self) -> None:
        host = WSGIMiddleware(cast("Any", self.wsgi), workers=8)
        self.app = RealtimeMiddleware(cast("Any", host), gateways=[JobsGateway()])
        self._jobs = JobsBroadcaster(self.app.broadcaster).sync

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """`/JOB/STATUS` broadcasts a status, and `/work` starts to broadcast endlessly, to job 8."""
        job_id, _, status = environ["PATH_INFO"].strip("/").partition("/")
        if job_id == "work":
            # Not a daemon: the process cannot end while this thread waits.
            threading.Thread(target=self._work).start()
            start_response("204 No Content", [])
            return []
        try:
            receipt = self._jobs.status(job_id, status)
        except RuntimeError as error:
            start_response("503 Service Unavailable", [])
            return [str(error).encode()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(receipt.delivered_locally).encode()]

    def _work(self) -> None:
        try:
            while True:
                self._jobs.stage_completed("8", "ANOTHER")
        except RuntimeError as error:
            print(f"the worker ends: {error}", flush=True)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.threads_app", description=__doc__).parse_args()
    # After its stop uvicorn raises the signal again, which by default would kill threads that have not ended.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(Host().app, port=0, ws="websockets-sansio", timeout_graceful_shutdown=5)
