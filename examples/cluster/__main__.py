"""`python -m examples.cluster`: a Redis, and the Mew example in several processes on port 3000 or `$PORT`."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys

import uvicorn

from examples.cluster.redis_server import redis_server
from examples.fastapi_app.tables import create_tables

WHAT_TO_TRY = """
  Mew is at {url}, served by {workers} processes

  Which client is connected to which process: {url}/nodes
  Open Mew in two windows, as Alice in one and as Bob in the other. Messages, presence and kicks cross the processes.
  Kill one of the processes: its clients connect to another one.
"""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.cluster", description=__doc__)
    parser.add_argument("--workers", type=int, default=3, help="how many processes (default: 3)")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("--workers must be 1 or more")
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "3000"
    if not port.isdecimal():
        sys.exit("PORT must be a number")
    os.environ["MEW_DEV"] = "true"
    os.environ.setdefault("MEW_JWT_SECRET", secrets.token_urlsafe(48))  # one for all processes
    asyncio.run(create_tables(sample_data=True))  # once, before the processes start
    with redis_server() as url:
        os.environ["MEW_REDIS_URL"] = url
        print(WHAT_TO_TRY.format(url=f"http://localhost:{port}", workers=options.workers), flush=True)
        uvicorn.run(
            "examples.cluster.app:create_app",
            factory=True,
            host=host,
            port=int(port),
            workers=options.workers,
            log_level="warning",
        )


if __name__ == "__main__":
    main()
