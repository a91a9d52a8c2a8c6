"""The Django example: as `make demo-django` starts it, in Chromium, and what its admin and its sockets accept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.browser_program import run_browser_program
from tests.support.django_server import serving_process
from tests.support.new_python import printed_by
from tests.support.paths import ROOT, WIRE
from tests.support.redis_server import free_port
from tests.support.waiting import until


@pytest.mark.timeout(180)
async def test_people_can_use_the_page(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environ = {"PORT": str(port), "CHAT_FOLDER": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MEW_", "DJANGO_"))}
    output = tmp_path / "server.log"
    with serving_process([sys.executable, "-m", "examples.django_app"], output, cwd=ROOT, env=kept | environ):
        async with httpx.AsyncClient() as http:

            async def answers() -> bool:
                try:
                    return (await http.get(f"{url}log-in")).is_success
                except httpx.TransportError:
                    return False

            await until(answers, seconds=60)
        await run_browser_program(WIRE / "django_example_page.mjs", url, str(tmp_path))
        printed = output.read_text()
        assert "Mew on Django is at http://localhost:" in printed
        assert "Traceback" not in printed and "SynchronousOnlyOperation" not in printed, printed


_PROGRAM = """
import asyncio, os

os.environ |= {{"DJANGO_SETTINGS_MODULE": "examples.django_app.settings", "CHAT_FOLDER": {folder!r}}}
import django

django.setup()
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
call_command("seed")
from asgi_realtime import Forbidden
from asgi_realtime.testing import RealtimeTestClient
from examples.django_app.asgi import application
from examples.django_app.models import Channel, Member, Message, Server
from examples.django_app.service import write_message

alice, bob = Client(headers={{"host": "localhost"}}), Client(headers={{"host": "localhost"}})
for client, name in ((alice, "alice"), (bob, "bob")):
    assert client.login(username=name, password="mew")
general, here = Channel.objects.get(name="general"), Server.objects.get()
member, message = Member.objects.get(user__username="bob"), Message.objects.get()
elsewhere = Server.objects.create(name="Elsewhere", owner=here.owner)
other = Channel.objects.create(server=elsewhere, name="secret")


def change(model, row, **values):
    changed = alice.post(f"/admin/chat/{{model}}/{{row.pk}}/change/", values)
    assert changed.status_code == 302, changed.content
    row.refresh_from_db()
    return row


async def main():
    async with RealtimeTestClient(application) as client:
        async with client.connect(
            cookies={{"sessionid": bob.cookies["sessionid"].value}}, headers={{"host": "localhost"}}
        ) as socket:
            await socket.expect("ready")
            for channel_id in ("general", "", "\\0"):  # no UUIDs
                try:
                    await asyncio.to_thread(write_message, member.user_id, channel_id, "Hello")
                except Forbidden as error:
                    print(error)
            # The members of a room are those of the server, because the admin moves nothing to another one.
            changed = await asyncio.to_thread(change, "channel", general, name="lounge", server=elsewhere.pk)
            print(changed.server_id == here.pk, (await socket.expect("CHANNEL_UPDATE")).data["name"])
            changed = await asyncio.to_thread(change, "member", member, server=elsewhere.pk, user=here.owner_id)
            print(changed.server_id == here.pk, changed.user_id == here.owner_id)
            changed = await asyncio.to_thread(
                change, "message", message, content="moderated", channel=other.pk, author=member.user_id
            )
            print(changed.channel_id == general.pk, (await socket.expect("MESSAGE_UPDATE")).data["content"])


asyncio.run(main())
"""


def test_unknown_channels_do_not_exist_and_the_admin_moves_nothing_to_another_server(tmp_path: Path) -> None:
    assert printed_by(_PROGRAM.format(folder=str(tmp_path))).splitlines() == [
        *["no such channel"] * 3,
        "True lounge",
        "True False",
        "True moderated",
    ]
