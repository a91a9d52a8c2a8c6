"""Threads of a synchronous host broadcast to many clients, and all of them end when the server stops."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.target_process import target_process

CLIENTS = 500
BROADCASTS = 24
AT_ONCE = 50


async def follow(url: str, job: str = "7") -> ClientConnection:
    """A client that has sent its `join_job`."""
    websocket = await websockets.connect(url, compression=None, ping_interval=None)
    await websocket.send(json.dumps({"type": "join_job", "jobId": job}))
    assert json.loads(await websocket.recv())["type"] == "connection_established"
    return websocket


async def statuses(websocket: ClientConnection) -> list[str]:
    """The next statuses in order."""
    return [json.loads(await websocket.recv())["data"]["status"] for _ in range(BROADCASTS)]


async def close_of(websocket: ClientConnection) -> int | None:
    """The close of the server. Frames before it are dropped."""
    try:
        while True:
            await websocket.recv()
    except websockets.ConnectionClosed:
        return websocket.close_code


async def test_threads_broadcast_to_five_hundred_clients_and_end_with_the_server(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_debug(False)  # debug mode is slow with so many clients in this process
    async with (
        target_process(
            tmp_path, module="tests.support.threads_app", environ={"WS_ALLOW_DEMO_TOKEN": "true"}
        ) as process,
        AsyncExitStack() as clients,
        httpx.AsyncClient(base_url=process.server.url, timeout=30) as http,
    ):
        url = f"{process.server.websocket_url}/ws?token=demo-token"
        sockets: list[ClientConnection] = []
        for _ in range(CLIENTS // AT_ONCE):
            sockets += await asyncio.gather(*[follow(url) for _ in range(AT_ONCE)])
        for socket in sockets:
            clients.push_async_callback(socket.close)

        sent = [f"{number}" for number in range(BROADCASTS)]
        answers = await asyncio.gather(*[http.post(f"/7/{status}") for status in sent])
        assert Counter(answer.text for answer in answers) == {str(CLIENTS): BROADCASTS}
        async with asyncio.timeout(60):
            received = await asyncio.gather(*[statuses(socket) for socket in sockets])
        assert sorted(received[0], key=int) == sent
        assert all(each == received[0] for each in received), "all clients of a room receive one order"

        # One client gets what is broadcast endlessly. This process could not read it for all.
        sockets.append(await follow(url, "8"))
        clients.push_async_callback(sockets[-1].close)
        assert (await http.post("/work")).status_code == 204
        answered = asyncio.Semaphore(0)
        endless = [asyncio.create_task(requests(http, answered)) for _ in range(8)]
        closes = [asyncio.create_task(close_of(socket)) for socket in sockets]
        async with asyncio.timeout(60):
            for _ in range(8):
                await answered.acquire()
        await process.stop()
        async with asyncio.timeout(60):
            assert Counter(await asyncio.gather(*closes)) == {1012: CLIENTS + 1}
            refused = await asyncio.gather(*endless)
        assert set(refused) <= {"503", "no answer"}
    assert "the worker ends: the gateway" in process.output
    assert "Traceback" not in process.output


async def requests(http: httpx.AsyncClient, answered: asyncio.Semaphore) -> str:
    """Make the host broadcast repeatedly, and return how the first request failed."""
    try:
        while (answer := await http.post("/8/again")).status_code == 200:
            answered.release()
    except httpx.TransportError:
        return "no answer"
    return str(answer.status_code)
