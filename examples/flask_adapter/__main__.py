"""`python -m examples.flask_adapter`: the app on port 3001 of this machine, or on `$HOST` and `$PORT`."""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn

from asgi_realtime import ConfigurationError
from examples.flask_adapter.app import create_app

WHAT_TO_TRY = """
  A Flask app with chat and workflow status is at {url}

  Start a job and watch its stages:  {url}/websocket-test
  Or from here:

    curl -s {url}/jobs -H 'authorization: Bearer demo-token' -d '{{}}'

  Chat: get a token, connect to {websocket_url}/chat?token=..., and send Bob a friend request:

    TOKEN=$(curl -s {url}/dev/token -d '{{"userId": "alice"}}' | cut -d '"' -f 4)
    curl -s {url}/friends/requests -H "authorization: Bearer $TOKEN" -d '{{"toId": "bob"}}'
"""


def main() -> None:
    """Serve until interrupted."""
    argparse.ArgumentParser(prog="python -m examples.flask_adapter", description=__doc__).parse_args()
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or "3001"
    if not port.isdecimal():
        sys.exit("PORT must be a number")
    try:
        app = create_app()
    except ConfigurationError as error:
        sys.exit(f"{error}\n(`make demo-flask` sets MEW_DEV=true, which needs nothing else.)")
    address = f"{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"
    print(WHAT_TO_TRY.format(url=f"http://{address}", websocket_url=f"ws://{address}"), flush=True)
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
