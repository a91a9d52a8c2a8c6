"""Use the installed package as a new user does: every public name, a type marker, a server, a client.

`python -I use_package.py` needs the package alone. With `extras`, also what needs the extras.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.resources
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OF_EXTRAS = {"PrometheusMetrics": "metrics", "OpenTelemetryTracing": "tracing"}
"""Names that need an extra, which the error names."""
APP = """
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, WebSocketGateway, on


class Echo(WebSocketGateway):
    @on("join")
    async def enter(self, room: str, connection: Connection) -> None:
        await connection.join(room)
        await self.broadcaster.broadcast_to_room(room, "joined", {"by": connection.identity.user_id})


app = Starlette()
app.add_middleware(RealtimeMiddleware, gateways=[Echo("/echo")])
"""


def use_every_name(extras: bool) -> None:
    """Import what the package exports."""
    import asgi_realtime

    found = importlib.resources.files("asgi_realtime")
    assert found.joinpath("py.typed").is_file(), "no py.typed"
    assert importlib.metadata.version("asgi_realtime") == asgi_realtime.__version__
    for name in asgi_realtime.__all__:
        try:
            getattr(asgi_realtime, name)
        except ImportError as error:
            assert not extras and f"asgi_realtime[{OF_EXTRAS[name]}]" in str(error), f"{name}: {error}"
    for module in ("client", "socketio", "testing", "wsgi", "uvicorn"):
        importlib.import_module(f"asgi_realtime.{module}")


async def use_in_process(app: Path) -> None:
    """An app and its client, without a server."""
    from asgi_realtime.testing import RealtimeTestClient

    sys.path.insert(0, str(app.parent))
    module = importlib.import_module(app.stem)
    async with RealtimeTestClient(module.app) as client, client.connect("/echo", token=client.token("ann")) as ann:
        await ann.send("join", "lobby")
        assert (await ann.expect("joined")).data == {"by": "ann"}


def use_over_a_socket(app: Path) -> None:
    """The same with uvicorn, a token of the command line and a WebSocket."""
    from websockets.sync.client import connect

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(app.parent), app.stem + ":app", "--port", str(port)]
    token = subprocess.check_output(
        [Path(sys.executable).parent / "asgi-realtime", "token", "make", "ann"], text=True
    ).strip()
    with subprocess.Popen([*command, "--log-level", "warning"]) as server:
        try:
            until = time.monotonic() + 30
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < until and server.poll() is None, "the server does not listen"
                time.sleep(0.05)
            with connect(f"ws://127.0.0.1:{port}/echo?token={token}") as client:
                client.send(json.dumps({"type": "join", "data": "lobby"}))
                answers = [json.loads(client.recv(timeout=10))]
                while answers[-1]["type"] != "joined":
                    answers.append(json.loads(client.recv(timeout=10)))
                assert answers[-1]["data"] == {"by": "ann"}, answers
        finally:
            server.terminate()
    assert server.returncode in (0, -15), server.returncode


if __name__ == "__main__":
    extras = "extras" in sys.argv
    os.environ["MEW_JWT_SECRET"] = "a secret of at least thirty-two bytes"
    use_every_name(extras)
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "echo_app.py"
        app.write_text(APP, encoding="utf-8")
        asyncio.run(use_in_process(app))
        if extras:
            use_over_a_socket(app)
    print("used: every public name, a client in process", "and a server, a token and a WebSocket" if extras else "")
