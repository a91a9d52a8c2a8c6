"""A server stops at once on SIGTERM, although a long-poll waits for an event and the server waits for the long-poll."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from asgi_realtime import Settings
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.lifecycle.shutdown_signals import ShutdownSignals
from tests.support.waiting import until

SECRET = "a secret that is long enough for a test"
APP = "from starlette.applications import Starlette\nfrom asgi_realtime import RealtimeMiddleware\n"


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    (tmp_path / "served.py").write_text(APP + "app = RealtimeMiddleware(Starlette())\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = os.environ | {"MEW_JWT_SECRET": SECRET, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port)]
    server = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.PIPE)
    assert server.stderr is not None
    async for line in server.stderr:
        if b"running on" in line:
            break
    yield server, f"http://127.0.0.1:{port}"
    if server.returncode is None:
        server.kill()
    await server.communicate()


async def test_a_server_with_a_client_that_polls_stops_at_once(
    process: tuple[asyncio.subprocess.Process, str],
) -> None:
    server, url = process
    address = f"{url}/socket.io/?EIO=4&transport=polling"
    async with httpx.AsyncClient() as client:
        session = json.loads((await client.get(address)).text[1:])["sid"]
        token = create_token("ann", Settings(jwt_secret=SECRET))
        await client.post(f"{address}&sid={session}", content=f"40{json.dumps({'token': token})}")
        assert (await client.get(f"{address}&sid={session}")).text.startswith("40{")
        waiting = asyncio.create_task(client.get(f"{address}&sid={session}"))
        # A request on another connection is answered after the server has begun the poll.
        await client.get(address)
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):  # the heartbeat would end the poll after 25 s
            assert (await waiting).text == "1"
            await server.wait()


class Server:
    """Acts as the server: records SIGTERM while the clients are closed."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.clients_closed = asyncio.Event()
        self.error: Exception | None = None
        self.signals = ShutdownSignals(self._close_clients)

    async def _close_clients(self, supervised: bool) -> None:
        self.calls.append("closing")
        self.supervised = supervised
        if self.error is not None:
            raise self.error
        await self.clients_closed.wait()

    def handle(self, number: int, frame: object) -> None:
        self.calls.append("handled")

    def force(self) -> None:
        self.calls.append("forced")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    before = {number: signal.signal(number, server.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    server.signals.install()
    try:
        yield server
    finally:
        server.signals.drain(server.force)
        server.signals.remove()
        for number, handler in before.items():
            assert signal.signal(number, handler) == server.handle


def send(number: int) -> None:
    os.kill(os.getpid(), number)


SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_previous_signal_handler_runs_after_the_clients_are_closed(server: Server, number: int) -> None:
    send(number)
    await until(lambda: server.calls == ["closing"])
    server.clients_closed.set()
    await until(lambda: server.calls == ["closing", "handled"])


@pytest.mark.parametrize("numbers", [(one, other) for one in SIGNALS for other in SIGNALS])
async def test_a_second_signal_is_passed_on_at_once_but_not_a_supervisors(
    server: Server, numbers: tuple[int, int]
) -> None:
    send(numbers[0])
    await until(lambda: server.calls == ["closing"])
    send(numbers[1])
    forces = numbers != (signal.SIGINT, signal.SIGTERM)
    assert server.calls == (["closing", "handled", "handled"] if forces else ["closing"])
    server.clients_closed.set()
    await until(lambda: server.calls == ["closing", "handled", "handled"])
    send(signal.SIGINT)
    assert server.calls == ["closing", "handled", "handled", "handled"]


@pytest.mark.parametrize("numbers", [(one, other) for one in SIGNALS for other in SIGNALS])
async def test_a_second_signal_cuts_the_drain_short(server: Server, numbers: tuple[int, int]) -> None:
    send(numbers[0])
    await until(lambda: server.calls == ["closing"])
    server.signals.drain(server.force)
    assert server.calls == ["closing", "handled"]  # the signal that was held
    send(numbers[1])
    assert server.calls == ["closing", "handled", "handled"]
    if numbers != (signal.SIGINT, signal.SIGTERM):
        await until(lambda: server.calls == ["closing", "handled", "handled", "forced"])


async def test_a_second_signal_before_the_drain_cuts_it_short_too(server: Server) -> None:
    send(signal.SIGTERM)
    send(signal.SIGTERM)
    assert server.calls == ["handled", "handled"]
    server.signals.drain(server.force)
    assert server.calls == ["handled", "handled", "forced"]


@pytest.mark.parametrize("closing", [True, False])
async def test_a_signal_that_is_held_when_a_start_fails_is_passed_on(server: Server, closing: bool) -> None:
    send(signal.SIGTERM)
    if closing:
        await until(lambda: server.calls == ["closing"])
    server.signals.remove()
    assert server.calls[-1:] == ["handled"]
    await asyncio.sleep(0)
    assert len(server.calls) == 1 + closing


async def test_the_first_signal_during_a_drain_does_not_cut_it_short(server: Server) -> None:
    server.signals.drain(server.force)
    send(signal.SIGTERM)
    assert server.calls == ["handled"]
    send(signal.SIGTERM)
    await until(lambda: server.calls == ["handled", "handled", "forced"])


def test_a_signal_while_no_event_loop_runs_is_passed_on_at_once() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    signals = Server().signals

    async def install() -> None:
        signals.install()

    try:
        asyncio.run(install())
        send(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signals.remove()
        signal.signal(signal.SIGTERM, before)


async def test_a_failure_to_close_clients_does_not_hold_the_signal(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.error = RuntimeError("clients cannot be closed")
    send(signal.SIGTERM)
    await until(lambda: "handled" in server.calls)
    assert "clients cannot be closed" in caplog.text
