"""Each server of docs/guides/django.md: views, gateways, static files, and its end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.django_project import settings as project
from tests.support.django_server import django_server
from tests.support.redis_server import free_port

APP = "tests.support.django_project.asgi:application"
COMMANDS = {
    "daphne": "daphne --bind 127.0.0.1 --port {port} {app}",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} {app}",
    "runserver": "django runserver --noreload 127.0.0.1:{port}",
}


@pytest.mark.parametrize("server", COMMANDS)
async def test_a_server_serves_everything_and_stops(server: str, folder: Path) -> None:
    command = COMMANDS[server].format(port=free_port(), app=APP).split()
    settings: dict[str, Any] = {}
    if server == "runserver":
        # Without Daphne it is a WSGI server. Without a route for static files, only `runserver` serves them.
        settings["INSTALLED_APPS"] = ["daphne", *project.INSTALLED_APPS]
    with django_server(folder, *command, settings=settings) as django:
        async with django.log_in("ann") as ann, ann.notes() as notes:
            assert (await notes.expect("hello"))["name"] == "ann"
            sent = (await ann.http.post("/notes", data={"text": "hot"})).json()
            assert await notes.expect("note") == sent
            assert (await ann.http.get("/static/admin/css/base.css")).headers["content-type"].startswith("text/css")
            assert "Site administration" in (await ann.http.get("/admin/")).text
            django.process.send_signal(signal.SIGINT if server == "runserver" else signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                while True:
                    await notes.socket.recv()
        django.process.wait(30)
        assert "Traceback" not in django.output, django.output
