"""The broadcaster in views, after transactions, in commands and in Celery."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crowd.client import LightClient
from tests.support.django_server import DjangoServer, django_server, environment, run
from tests.support.redis_server import RedisProcess

TASKS = "tests.support.django_project.tasks"


@pytest.mark.parametrize("path", ["/notes", "/notes/async"])
async def test_a_view_sends_to_clients(django: DjangoServer, path: str) -> None:
    async with django.log_in("ann") as ann, ann.notes() as notes:
        await notes.expect("hello")
        sent = (await ann.http.post(path, data={"text": "hot"})).json()
        assert await notes.expect("note") == sent


async def test_what_is_rolled_back_is_not_sent(django: DjangoServer) -> None:
    async with django.log_in("ann") as ann, ann.notes() as notes:
        await notes.expect("hello")
        assert (await ann.http.post("/notes", data={"text": "lost", "fail": "1"})).status_code == 400
        await ann.http.post("/notes", data={"text": "kept"})
        assert (await notes.expect("note"))["text"] == "kept"


async def test_a_sync_view_waits_for_an_async_service_with_the_orm(django: DjangoServer) -> None:
    """Both run in threads of asgiref. If it were the same one, each would wait for the other."""
    async with django.log_in("bob") as bob:
        events: list[list[object]] = []
        client = LightClient("", events.append, cookie=bob.cookie)
        assert await client.connect(django.port), client.outcome
        assert await client.called("rooms") == [["everybody"]]
        assert (await bob.http.post("/members", data={"room": "tea"})).json() == {"delivered": 1}
        assert await client.called("rooms") == [["everybody", "tea"]]
        assert events == [["member", {"room": "tea"}]]
        client.drop()
        await client.ended


@contextlib.contextmanager
def celery_worker(folder: Path, queue: str, variables: dict[str, str]) -> Iterator[int]:
    """A worker with two processes, until the block ends. Returns its process id."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", TASKS, "worker", "--concurrency", "2", "--queues", queue],
        cwd=folder,
        env=environment(folder, {}, variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield worker.pid
    finally:
        worker.terminate()
        worker.wait(30)


async def test_commands_celery_and_forked_processes_send_through_redis(
    folder: Path, redis_process: RedisProcess
) -> None:
    queue = f"test-{secrets.token_hex(4)}"
    variables = {"MEW_REDIS_URL": redis_process.url, "MEW_REDIS_PREFIX": queue}
    celery = variables | {"CELERY_BROKER": f"redis+socket://{redis_process.socket}"}
    with celery_worker(folder, queue, celery) as worker, django_server(folder, variables=variables) as django:
        async with django.log_in("ann") as ann, ann.notes() as notes:
            await notes.expect("hello")
            run(folder, "announce", "from a command", variables=variables)
            assert await notes.expect("note") == {"text": "from a command"}
            code = (
                f"from {TASKS} import announce\n"
                f"for text in ('one', 'two'): announce.apply_async([text], queue={queue!r})"
            )
            run(folder, "shell", "--command", code, variables=celery)
            found = [await notes.expect("note"), await notes.expect("note")]
            assert {note["text"] for note in found} == {"one", "two"}
            assert {note["by"] for note in found} == {worker}, "the tasks ran in processes that were forked"
            assert (await ann.http.post("/notes/child", data={"text": "from a fork"})).is_success
            assert await notes.expect("note") == {"text": "from a fork"}


def test_without_redis_a_command_sends_to_no_client_and_says_so(folder: Path) -> None:
    warning = "this process serves no clients and MEW_REDIS_URL is not set: no client gets what it sends"
    assert run(folder, "announce", "lost").count(warning) == 1
    code = (
        "import asyncio; from asgi_realtime.django import *\n"
        "async def send():\n"
        "    print((await (await aget_broadcaster()).broadcast_to_room('notes', 'note')).delivered_locally)\n"
        "for _ in range(2): print(get_broadcaster().broadcast_to_room('notes', 'note').replicated)\n"
        "asyncio.run(send()); get_broadcaster().broadcast_to_room('notes', 'connect')"
    )
    with pytest.raises(AssertionError, match="(?s)False\nFalse\n0\n.*ValueError") as failed:
        run(folder, "shell", "--command", code)
    assert str(failed.value).count(warning) == 1
