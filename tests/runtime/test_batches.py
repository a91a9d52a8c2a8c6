"""Clients are closed a batch at a time when the process stops."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.runtime.batches import AT_ONCE, PAUSE, close_in_batches
from tests.support.crowd.client import LightClient
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


class Client:
    """Remembers when it was stopped."""

    def __init__(self) -> None:
        self.stopped_at: list[float] = []

    def stop(self) -> None:
        self.stopped_at.append(asyncio.get_running_loop().time())


async def batches_of(number: int, seconds: float) -> list[int]:
    """Stop this many clients, and return the size of each batch. Batches must be `PAUSE` apart."""
    clients = [Client() for _ in range(number)]
    await close_in_batches(clients, Client.stop, seconds=seconds)
    times = [at for client in clients for at in client.stopped_at]
    assert len(times) == number
    starts = [0, *(n for n in range(1, number) if times[n] - times[n - 1] > 0.9 * PAUSE)]
    return [end - start for start, end in zip(starts, [*starts[1:], number], strict=True)]


@pytest.mark.parametrize(
    ("number", "seconds", "batches"),
    [
        (AT_ONCE, 1.0, [AT_ONCE]),
        (2 * AT_ONCE + 1, 1.0, [AT_ONCE, AT_ONCE, 1]),
        (1000, 0.2, [500, 500]),
        (1000, 0.01, [1000]),
    ],
)
async def test_batches_are_larger_only_if_the_time_is_short(number: int, seconds: float, batches: list[int]) -> None:
    assert await batches_of(number, seconds) == batches


class Farewell(SocketIOGateway):
    """Tells all clients that are left about each one that goes."""

    def __init__(self) -> None:
        super().__init__("/")
        self.ready: set[bool] = set()

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.ready.add(self.broadcaster.ready)
        await self.broadcaster.broadcast_to_all("left", connection.identity.user_id)


async def test_clients_of_later_batches_are_served_until_it_is_their_turn(serve: Serve) -> None:
    gateway = Farewell()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(middleware)
    assert middleware.realtime.ready
    events: list[list[list[str]]] = [[] for _ in range(AT_ONCE + 1)]
    clients = [LightClient(create_token("ann", SETTINGS), each.append) for each in events[:AT_ONCE]]
    clients.append(LightClient(create_token("bob", SETTINGS), events[-1].append))
    for client in clients:
        assert await client.connect(server.port)
    await middleware.realtime.stop()
    await asyncio.gather(*(client.ended for client in clients))
    assert {client.code for client in clients} == {1012}
    assert events[0] == []
    assert ["left", "ann"] in events[-1]
    assert gateway.ready == {False}
