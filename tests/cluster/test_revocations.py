"""Revocations reach every node: running ones, ones that were cut off, and ones that start later."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from asgi_realtime import Broadcaster, Settings, create_token
from tests.support.cluster import SECRET, Cluster
from tests.support.node_client import ConnectRefused
from tests.support.redis_places import RedisPlace
from tests.support.waiting import until


def token_of(user_id: str, jti: str) -> str:
    return create_token(user_id, Settings(jwt_secret=SECRET), jti=jti)


async def test_a_token_revoked_on_one_node_is_cut_on_another_within_a_second(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    tokens = {"ada": token_of("ada", "j1"), "bob": token_of("bob", "j2")}
    ada, bob = [await second.connect(user_id, token=token) for user_id, token in tokens.items()]
    other = await second.connect("ada", token=token_of("ada", "j3"))
    before = time.monotonic()
    await first.call("revoke_token", "j1")
    await first.call("revoke_user", "bob")
    for client in (ada, bob):
        await client.disconnection()
    assert time.monotonic() - before < 1
    for user_id, token in tokens.items():
        with pytest.raises(ConnectRefused):
            await second.connect(user_id, token=token)
    await first.call("broadcast_to_all", "still here")
    await other.expect("still here")
    await other.disconnect()


async def test_a_node_that_starts_later_knows_what_was_revoked(cluster: Cluster) -> None:
    old = {user_id: token_of(user_id, f"j-{user_id}") for user_id in ("ada", "bob", "eve")}
    settings = Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix)
    async with Broadcaster.connect(settings=settings) as broadcaster:
        await broadcaster.revoke_token("j-ada")
        await broadcaster.revoke_user("bob")
    node = await cluster.start()
    for user_id in ("ada", "bob"):
        with pytest.raises(ConnectRefused):
            await node.connect(user_id, token=old[user_id])
    for user_id in ("bob", "eve"):  # bob with a token that is newer than the revocation
        client = await node.connect(user_id, token=old.get(user_id) if user_id == "eve" else None)
        await client.disconnect()


async def test_a_node_that_was_cut_off_cuts_the_token_as_soon_as_it_is_back(
    cluster: Cluster, redis_place: RedisPlace
) -> None:
    # The history is so short that the node cannot recover the command from it.
    first, second = await cluster.start(), await cluster.start(MEW_HISTORY_TTL="0.1")
    ada = await second.connect("ada", token=token_of("ada", "j1"))
    second.process.signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(redis_place.kill_connections)
        settings = Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix, history_ttl=0.1)
        async with Broadcaster.connect(settings=settings) as broadcaster:
            await broadcaster.revoke_token("j1")
    finally:
        second.process.signal(signal.SIGCONT)
    before = time.monotonic()
    await ada.disconnection()
    assert time.monotonic() - before < 3
    assert "Traceback" not in first.process.output + second.process.output


async def test_revocations_come_back_after_a_flush(cluster: Cluster, redis_place: RedisPlace) -> None:
    first = await cluster.start()
    revoked = token_of("ada", "j1")
    await first.call("revoke_token", "j1")
    await first.call("revoke_user", "bob")
    redis_place.flush()
    await asyncio.to_thread(redis_place.kill_connections)
    with redis_place.client() as redis:
        await until(lambda: redis.exists(f"{cluster.prefix}:{{*}}:x"))
    second = await cluster.start()
    with pytest.raises(ConnectRefused):
        await second.connect("ada", token=revoked)
