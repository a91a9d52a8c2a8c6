"""`python -m examples.fastapi_app`: the app on port 3000 of this machine, or on `$HOST` and `$PORT`."""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn

from asgi_realtime import ConfigurationError
from examples.fastapi_app.app import create_app

WHAT_TO_TRY = """
  Mew is at {url}

  Open it in two browser windows, as Alice in one and as Bob in the other: send messages, react, edit, kick a member.
  All routes: {url}/docs
  All events: {url}/asyncapi
"""
BY_CURL = """
  Or send a message from here, and see it arrive in the windows:

    TOKEN=$(curl -s {url}/dev/token -H 'content-type: application/json' -d '{{"userId": "carol"}}' | cut -d '"' -f 4)
    SERVER=$(curl -s {url}/servers -H "authorization: Bearer $TOKEN" | cut -d '"' -f 4)
    CHANNEL=$(curl -s {url}/servers/$SERVER/channels -H "authorization: Bearer $TOKEN" | cut -d '"' -f 4)
    curl -s {url}/channels/$CHANNEL/messages -H "authorization: Bearer $TOKEN" \\
         -H 'content-type: application/json' -d '{{"content": "Hello from curl"}}'

  Or join the server's room on /events, a gateway of its own, and send its members a message:

    IO="{url}/socket.io/?EIO=4&transport=polling"; IO="$IO&sid=$(curl -s "$IO" | cut -d '"' -f 4)"
    curl -s "$IO" -d '40/events,{{"token":"'$TOKEN'"}}'; curl -s "$IO"
    curl -s "$IO" -d '42/events,1["join",{{"room":"'$SERVER'"}}]'; curl -s "$IO"
    curl -s "$IO" -d '42/events,2["message",{{"room":"'$SERVER'","content":"Hello"}}]'; curl -s "$IO"
"""


def main() -> None:
    """Serve until interrupted."""
    argparse.ArgumentParser(prog="python -m examples.fastapi_app", description=__doc__).parse_args()
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or "3000"
    if not port.isdecimal():
        sys.exit("PORT must be a number")
    try:
        app = create_app()
    except ConfigurationError as error:
        sys.exit(f"{error}\n(`make demo` sets MEW_DEV=true, which needs nothing else.)")
    url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"
    print(WHAT_TO_TRY.format(url=url) + (BY_CURL.format(url=url) if app.state.settings.dev else ""), flush=True)
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
