"""Relays when a process is killed or frozen, and when connections to Redis are lost."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from tests.support.cluster import SECRET, Cluster, Node
from tests.support.redis_places import RedisPlace
from tests.support.roaming_client import RoamingClient
from tests.support.waiting import until

UNKNOWN = {"code": 1, "message": "Session ID unknown"}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def connected(http: httpx.AsyncClient, owner: Node, relaying: Node) -> RoamingClient:
    """A client with a session at the first process. The second process is number 1."""
    client = RoamingClient(http, [owner.url])
    await client.connect("ann", SECRET)
    client.urls.append(relaying.url)
    return client


async def begin_poll(client: RoamingClient) -> asyncio.Task[httpx.Response]:
    """Begin a poll at the second process, and return when it waits at the first."""
    polling = asyncio.create_task(client.get(at=1))
    for _ in range(3):  # each is relayed to the first process on another connection
        assert (await client.post("3", at=1)).status_code == 200
    assert not polling.done()
    return polling


async def until_ended(client: RoamingClient) -> None:
    """Wait until the first process has ended the session."""

    async def ended() -> bool:
        return (await client.post("3", at=0)).status_code != 200

    await until(ended)


async def test_the_owner_is_killed_during_a_poll(cluster: Cluster, http: httpx.AsyncClient) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    polling = await begin_poll(client)
    begun = time.monotonic()
    owner.process.signal(signal.SIGKILL)
    assert (await polling).json() == UNKNOWN
    assert time.monotonic() - begun < 4  # the next probe has no recipient
    begun = time.monotonic()
    assert (await client.get(at=1)).json() == UNKNOWN
    assert (await client.post("3", at=1)).json() == UNKNOWN
    assert time.monotonic() - begun < 1


async def test_the_owner_is_frozen_and_wakes_up(cluster: Cluster, http: httpx.AsyncClient) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    polling = await begin_poll(client)
    owner.process.signal(signal.SIGSTOP)
    begun = time.monotonic()
    try:
        assert (await polling).json() == UNKNOWN
        assert time.monotonic() - begun < 10
    finally:
        owner.process.signal(signal.SIGCONT)
    await until_ended(client)
    again = await connected(http, owner, relaying)  # the relay works as before
    await again.post('420["join","lobby"]', at=1)
    assert (await again.next()).startswith("430")  # it is in the room
    await owner.call("broadcast_to_room", "lobby", "news", 1)
    assert await again.event() == ["news", 1]


async def test_the_relaying_process_is_killed_during_a_poll(cluster: Cluster, http: httpx.AsyncClient) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    polling = await begin_poll(client)
    relaying.process.signal(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await polling
    await until_ended(client)


async def test_an_answer_that_reaches_no_process_ends_the_session(cluster: Cluster, http: httpx.AsyncClient) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    polling = await begin_poll(client)
    relaying.process.signal(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await polling
    await relaying.process.ended()  # before that, Redis may still count it as a recipient of the answer
    await owner.call("nodes")  # Redis answers this after it has dropped the killed process's connection
    await owner.call("broadcast_to_user", "ann", "news", 1)  # the poll is answered, unless a probe was faster
    await until_ended(client)


async def test_lost_connections_to_redis_end_relays_only(
    cluster: Cluster, http: httpx.AsyncClient, redis_place: RedisPlace
) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    bob = await owner.connect("bob")
    polling = await begin_poll(client)
    redis_place.kill_connections()
    assert (await polling).json() == UNKNOWN
    await until_ended(client)
    assert not bob.disconnects
    await bob.disconnect()


@pytest.mark.parametrize("killed", ["owner", "relaying"])
async def test_a_process_of_a_relayed_websocket_is_killed(
    cluster: Cluster, http: httpx.AsyncClient, killed: str
) -> None:
    owner, relaying = await cluster.start(), await cluster.start()
    client = await connected(http, owner, relaying)
    async with open_websocket(client.url("websocket", at=1).replace("http", "ws", 1), ping_interval=None) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        await websocket.send("5")
        await websocket.send('421["join","lobby"]')
        assert str(await websocket.recv()).startswith("431")
        (owner if killed == "owner" else relaying).process.signal(signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(10):
                await websocket.recv()
        if killed == "owner":
            assert websocket.close_code == 1012
        else:
            await until_ended(client)
