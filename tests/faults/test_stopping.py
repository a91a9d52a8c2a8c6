"""Stopping a server that runs from its command line, also in the middle of a fan-out."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.attackers import entered
from tests.support.raw_engineio import RawClient, SessionClosed
from tests.support.raw_websocket import RawWebSocket, open_websocket
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer
from tests.support.stalled_clients import Kind, stalled_client
from tests.support.target_command import served_process
from tests.support.target_process import Process
from tests.support.waiting import until

CLIENTS: Final = 4
"""Of each kind."""
STOP_SECONDS: Final = 10.0
"""How long a server may take to stop, in seconds, with a margin for a busy machine."""
ANSWER_SECONDS: Final = 3.0
"""The same, in less than the 3 s that the protocol class and hypercorn have for clients that do not read."""
GONE: Final = {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}
"""The errors of httpx for a server that has stopped."""
SIGNALS: Final = [signal.SIGTERM, signal.SIGINT]
IO: Final = "/socket.io/?EIO=4&transport=websocket"


@asynccontextmanager
async def websocket(server: LiveServer, path: str, first: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket whose client has sent its first message and received a broadcast."""
    async with connect(server.websocket_url + path, compression=None) as client:
        await client.send(first)
        while "event" not in str(await client.recv()):
            pass
        yield client


async def closed_with(client: ClientConnection) -> int:
    """Read until the end. Returns the code of the close."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            if await client.recv() == "2":
                await client.send("3")
    assert closed.value.rcvd is not None, "no close frame"
    return closed.value.rcvd.code


async def last_packet(client: RawClient) -> str:
    """Poll until the end. Returns "closed" after a close packet, otherwise how the request failed."""
    try:
        while True:
            await client.receive()
    except SessionClosed:
        return "closed"
    except Exception as error:
        return type(error).__name__


class Crowd:
    """Clients of every kind on one server."""

    def __init__(self) -> None:
        self.websockets: list[ClientConnection] = []
        self.polling: list[RawClient] = []

    @classmethod
    @asynccontextmanager
    async def on(cls, server: LiveServer) -> AsyncIterator[Crowd]:
        crowd = cls()
        async with AsyncExitStack() as stack:
            for number in range(CLIENTS):
                name = f'{{"name":"{number}"}}'
                for path, first in ((IO, f"40{name}"), ("/json", f'{{"type":"auth","data":{name}}}')):
                    crowd.websockets.append(await stack.enter_async_context(websocket(server, path, first)))
                crowd.polling.append(await stack.enter_async_context(entered(server, f"polling {number}", "polling")))
            yield crowd
            stack.pop_all()  # they have been closed

    async def ends(self) -> tuple[set[int], set[str]]:
        """How the WebSockets and the polling sessions ended."""
        codes, packets = await asyncio.gather(
            asyncio.gather(*map(closed_with, self.websockets)), asyncio.gather(*map(last_packet, self.polling))
        )
        return set(codes), set(packets)


def lines_after(process: Process, start: int) -> list[str]:
    """What was logged from an offset on, without uvicorn's line for each request."""
    return [line for line in process.output[start:].splitlines() if " HTTP/1.1" not in line]


@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_every_client_gets_a_close_and_nothing_fails(
    tmp_path: Path, implementation: Implementation, number: signal.Signals
) -> None:
    async with served_process(tmp_path, implementation, app="busy") as process, Crowd.on(process.server) as crowd:
        ends = asyncio.create_task(crowd.ends())
        logged = len(process.output)
        begun = time.monotonic()
        process.signal(number)
        codes, packets = await ends
        assert codes == {1012}
        # For a client between two polls the server may have ended. For a waiting poll see `test_shutdown_signals`.
        assert packets <= {"closed"} | GONE
        code = await process.ended()
        assert time.monotonic() - begun < STOP_SECONDS
        # uvicorn raises the signal again once it has stopped.
        assert code in ({0} if implementation == "hypercorn" else {0, -number})
        assert len(lines_after(process, logged)) < 10
        assert "Traceback" not in process.output


SILENT: Final = 20


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_clients_that_do_not_answer_the_close_do_not_hold_up_the_server(
    tmp_path: Path, implementation: Implementation
) -> None:
    async with served_process(tmp_path, implementation) as process, AsyncExitStack() as stack:
        clients: list[RawWebSocket] = []
        for number in range(SILENT):
            path = IO if number % 2 else "/json"
            clients.append(await stack.enter_async_context(open_websocket(process.server.port, path)))
        begun = time.monotonic()
        process.signal(signal.SIGTERM)
        await process.ended()
        assert time.monotonic() - begun < ANSWER_SECONDS
        for client in clients:
            async with asyncio.timeout(5):
                assert (await client.reader.read()).endswith(b"\x88\x10\x03\xf4server restart")
        assert "Traceback" not in process.output


@asynccontextmanager
async def working(process: Process, seconds: float) -> AsyncIterator[ClientConnection]:
    """A client whose handler is running."""
    async with connect(process.server.websocket_url + IO, compression=None) as client:
        await client.send('40/work,{"name":"ann"}')
        while not str(await client.recv()).startswith("40/work,"):
            pass
        await client.send(f'42/work,["work",{seconds}]')
        await until(lambda: "work has begun" in process.output, seconds=10)
        yield client


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("seconds", "result"), [(0.8, "work has ended"), (60, "work is cancelled")])
async def test_a_handler_may_finish_within_the_drain_timeout(
    tmp_path: Path, implementation: Implementation, seconds: float, result: str
) -> None:
    environ = {"MEW_DRAIN_TIMEOUT": "1.5"}
    async with (
        served_process(tmp_path, implementation, environ=environ) as process,
        working(process, seconds) as client,
    ):
        process.signal(signal.SIGTERM)
        assert await closed_with(client) == 1012
        await process.ended()
        assert result in process.output
        assert "Traceback" not in process.output


@pytest.mark.parametrize("implementation", [name for name in IMPLEMENTATIONS if name != "hypercorn"])
@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
async def test_a_second_signal_ends_the_drain(
    tmp_path: Path, implementation: Implementation, number: signal.Signals
) -> None:
    environ = {"MEW_DRAIN_TIMEOUT": "60"}
    async with served_process(tmp_path, implementation, environ=environ) as process, working(process, 60) as client:
        process.signal(number)
        assert await closed_with(client) == 1012
        await until(lambda: "Waiting for application shutdown" in process.output, seconds=10)
        process.signal(number)
        await process.ended()
        assert "work is cancelled" in process.output
        assert "handlers that still run are cancelled: MEW_DRAIN_TIMEOUT (60 s) has passed" in process.output


async def probed(process: Process, path: str) -> tuple[int, object]:
    """What the probe of a load balancer gets."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(process.server.url + path)
    return answer.status_code, answer.json()


OK: Final = (200, {"status": "ok"})
STOPPING: Final = (503, {"status": "unavailable", "reasons": ["the process is stopping"]})


EARLY, LATE = [f'{{"type":"auth","data":{{"name":"{name}"}}}}' for name in ("early", "late")]
UVICORN: Final = [name for name in IMPLEMENTATIONS if name != "hypercorn"]


@pytest.mark.parametrize("implementation", UVICORN)
async def test_new_clients_are_served_until_the_load_balancer_has_seen_the_stop(
    tmp_path: Path, implementation: Implementation
) -> None:
    environ = {"MEW_SHUTDOWN_DELAY": "60"}
    async with served_process(tmp_path, implementation, app="busy", environ=environ) as process:
        assert await probed(process, "/readyz") == OK
        async with websocket(process.server, "/json", EARLY) as early:
            process.signal(signal.SIGTERM)
            while (answer := await probed(process, "/readyz")) == OK:
                pass
            assert answer == STOPPING
            assert await probed(process, "/healthz") == OK
            async with websocket(process.server, "/json", LATE) as late:  # it has received an event
                while "event" not in str(await early.recv()):
                    pass
                process.signal(signal.SIGTERM)  # ends the delay
                assert tuple(await asyncio.gather(closed_with(early), closed_with(late))) == (1012, 1012)
                await process.ended()


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGTERM, "0.3"), (signal.SIGINT, "60")])
async def test_clients_are_closed_after_the_delay_and_at_once_for_ctrl_c(
    tmp_path: Path, number: signal.Signals, delay: str
) -> None:
    environ = {"MEW_SHUTDOWN_DELAY": delay}
    async with served_process(tmp_path, "WebSocketProtocol", app="busy", environ=environ) as process:
        async with websocket(process.server, "/json", EARLY) as client:
            process.signal(number)
            assert await closed_with(client) == 1012
        await process.ended()


@pytest.mark.parametrize("kind", ["Socket.IO", "JSON"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_client_that_does_not_read_does_not_hold_up_the_server(
    tmp_path: Path, implementation: Implementation, kind: Kind
) -> None:
    async with (
        served_process(tmp_path, implementation) as process,
        stalled_client(process.server, "slow", kind),
        httpx.AsyncClient(timeout=20) as http,
    ):
        sent = {"count": 40, "bytes": 20_000, "gateway": "/" if kind == "Socket.IO" else "/json"}
        for _ in range(4):  # more than the system buffers, less than the outbox
            assert (await http.post(f"{process.server.url}/broadcast", json=sent)).status_code == 204
        begun = time.monotonic()
        process.signal(signal.SIGTERM)
        await process.ended()
        assert time.monotonic() - begun < STOP_SECONDS
        assert "Traceback" not in process.output


@pytest.mark.parametrize("kind", ["Socket.IO", "JSON"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_messages_sent_before_the_stop_arrive_before_the_close(
    tmp_path: Path, implementation: Implementation, kind: Kind
) -> None:
    async with (
        served_process(tmp_path, implementation) as process,
        stalled_client(process.server, "slow", kind) as client,
        httpx.AsyncClient(timeout=20) as http,
    ):
        sent = {"count": 40, "bytes": 20_000, "gateway": "/" if kind == "Socket.IO" else "/json"}
        assert (await http.post(f"{process.server.url}/broadcast", json=sent)).status_code == 204
        process.signal(signal.SIGTERM)
        received = await client.read_to_the_end()
        assert received.count(b"x" * 20_000) == 40
        assert b"\x88\x10\x03\xf4server restart" in received
        await process.ended()
