"""An application of two processes works wherever Redis is. The other tests of this folder do so in their long form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from asgi_realtime import Broadcaster, Settings, SocketIOGateway, create_token
from tests.support.cluster import SECRET, Cluster
from tests.support.command_line import command
from tests.support.node_client import ConnectRefused
from tests.support.redis_places import PLACES, RedisPlaces
from tests.support.roaming_client import RoamingClient


@pytest.fixture(params=PLACES[1:])
async def everywhere(
    request: pytest.FixtureRequest, tmp_path: Path, redis_places: RedisPlaces
) -> AsyncIterator[Cluster]:
    place = redis_places(request.param)
    async with Cluster(tmp_path, place.url) as running:
        yield running
    assert place.denied() == []


async def test_two_processes_behave_as_one_wherever_redis_is(everywhere: Cluster) -> None:
    first, second = await everywhere.start(), await everywhere.start()
    token = create_token("ada", Settings(jwt_secret=SECRET), jti="j1")
    ada, bob = await first.connect("ada", token=token), await second.connect("bob")
    for client in (ada, bob):
        await client.call("join", "lobby")
    async with httpx.AsyncClient(timeout=30) as http:  # polls and POSTs by turns at both processes
        roaming = RoamingClient(http, [first.url, second.url])
        await roaming.connect("eve", SECRET)
        await first.call("broadcast_to_user", "eve", "relayed", 1)
        assert await roaming.event() == ["relayed", 1]

        settings = Settings(redis_url=everywhere.redis_url, redis_prefix=everywhere.prefix)
        async with Broadcaster.connect(gateways=[SocketIOGateway("/")], settings=settings) as broadcaster:
            await broadcaster.broadcast_to_room("lobby", "news", {"n": 1})
            await broadcaster.broadcast_to_room("lobby", "now", volatile=True)
            await broadcaster.remove_user_from_room("bob", "lobby")
            await broadcaster.broadcast_to_room("lobby", "without bob")
            await broadcaster.broadcast_to_all("end")
            for client in (ada, bob):
                await client.expect("end")
            assert [each.event for each in ada.events] == ["news", "now", "without bob", "end"]
            assert [each.event for each in bob.events] == ["news", "now", "end"]
            size, nodes = await broadcaster.room_size("lobby"), await broadcaster.nodes()
            assert (size.value, size.complete, len(nodes.value)) == (1, True, 2)
            assert await broadcaster.online_users() == {"ada", "bob", "eve"}
            await broadcaster.revoke_token("j1")
        await ada.disconnection()
        with pytest.raises(ConnectRefused):
            await second.connect("ada", token=token)
    code, _, errors = await command(everywhere.environ, "emit", "--user", "bob", "/", "by a command", "1")
    assert (code, errors) == (0, "")
    assert (await bob.expect("by a command")).args == [1]
    await bob.disconnect()
    assert "Traceback" not in first.process.output + second.process.output
