"""Without Redis, a second process of the same app on a machine does not start. Other processes do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.paths import ROOT
from tests.support.target_process import Process, target_process
from tests.support.waiting import until

APP = """
import asyncio, contextlib, pathlib
from starlette.applications import Starlette
from asgi_realtime import RealtimeMiddleware, SocketIOGateway

@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    while pathlib.Path("stay").exists():
        await asyncio.sleep(0.01)

app = RealtimeMiddleware(Starlette(lifespan=lifespan), gateways=[SocketIOGateway("/")])
"""
REFUSAL = "set MEW_REDIS_URL to join the processes"
Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[Process]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two apps."""
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(APP)
    return tmp_path


@pytest.fixture
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """Runs uvicorn with an app in a folder, until the block ends. Locks are in a folder of the test."""
    temporary = tmp_path_factory.mktemp("temporary")

    @contextlib.asynccontextmanager
    async def run(folder: Path, app: str = "one:app", *options: str, **environ: str) -> AsyncIterator[Process]:
        output = tmp_path_factory.mktemp("output")
        variables = {"TMPDIR": str(temporary)} | environ
        arguments = (app, "--port", "0", *options)
        async with target_process(
            output, *arguments, module="uvicorn", environ=variables, cwd=folder, in_test=False
        ) as process:
            yield process

    return run


async def refused(running: AbstractAsyncContextManager[Process]) -> str:
    """The output of a process that does not start."""
    with pytest.raises(AssertionError) as failed:
        async with running:
            pass
    return str(failed.value)


async def test_a_second_process_of_an_app_is_refused(serving: Serving, folder: Path) -> None:
    async with serving(folder):
        output = await refused(serving(folder))
        assert output.count(REFUSAL) == 1
        assert "Traceback" not in output


async def test_a_second_process_starts_if_the_setting_allows_it(serving: Serving, folder: Path) -> None:
    async with serving(folder), serving(folder, MEW_SINGLE_PROCESS="true"):
        pass


def test_workers_are_refused_with_one_message_and_the_server_ends(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    environ |= {"MEW_DEV": "true", "TMPDIR": str(tmp_path_factory.mktemp("temporary")), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "uvicorn", "one:app", "--port", "0", "--workers", "3"]
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    assert ended.stderr.count(REFUSAL) == 1, ended.stderr
    assert "Application startup complete" not in ended.stderr  # no worker has served a client
    assert "Stopping parent process" in ended.stderr
    assert ended.stderr.count("Started server process") == 3  # no worker was started again


async def test_another_app_or_another_checkout_may_run_beside_a_process(
    serving: Serving, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "one.py").write_text(APP)
    async with serving(folder), serving(folder, "other:app"), serving(checkout):
        pass


async def test_a_process_can_start_while_another_drains(serving: Serving, folder: Path) -> None:
    stay = folder / "stay"
    stay.touch()
    try:
        async with serving(folder) as old:
            old.signal(signal.SIGTERM)
            async with serving(folder):
                assert "Application shutdown complete" not in old.output
                stay.unlink()
    finally:
        stay.unlink(missing_ok=True)


async def test_a_process_can_start_after_another_was_killed(serving: Serving, folder: Path) -> None:
    async with serving(folder) as old:
        old.signal(signal.SIGKILL)
        await old.ended()
        async with serving(folder):
            pass


async def test_reloading_is_not_mistaken_for_a_second_process(serving: Serving, folder: Path) -> None:
    async with serving(folder, "one:app", "--reload") as process:
        await until(lambda: "Application startup complete" in process.output)
        async with asyncio.timeout(60):
            while process.output.count("Application startup complete") < 2:
                # uvicorn does not notice a change before it has read the time of the file. So it is changed again.
                (folder / "one.py").write_text(f"{APP}# {secrets.token_hex()}\n")
                with contextlib.suppress(TimeoutError):
                    await until(lambda: process.output.count("Application startup complete") > 1, seconds=5)
        assert REFUSAL not in process.output


async def test_without_a_usable_folder_processes_start_unchecked(serving: Serving, folder: Path) -> None:
    (folder / f"asgi_realtime-{os.getuid()}").write_text("a file")
    async with serving(folder, TMPDIR=str(folder)), serving(folder, TMPDIR=str(folder)):
        pass


async def test_a_folder_that_others_may_write_to_is_not_used(serving: Serving, folder: Path) -> None:
    shared = folder / f"asgi_realtime-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    async with serving(folder, TMPDIR=str(folder)), serving(folder, TMPDIR=str(folder)):
        assert not list(shared.iterdir())
