"""The claim of a session that ends early: the session is not lost."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets

import pytest
import redis.asyncio

from asgi_realtime import Connection, Handshake, Identity, Realtime, Refusal, Settings, SocketIOGateway
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.backends import backends_from
from asgi_realtime.connection.connection import internal
from asgi_realtime.metrics import Meter
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.distant_presence import DistantPresence
from tests.support.recording import RecordingTransport
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until


async def by_auth(handshake: Handshake) -> Identity:
    return Identity(user_id="ann")


class Site(SocketIOGateway):
    """Every client is Ann."""

    def __init__(self) -> None:
        super().__init__("/", authenticator=by_auth)

    async def come(self, **auth: Json) -> Connection:
        """Connect a client."""
        handshake = Handshake(gateway="/", auth={"recovery": True, **auth})
        return await self.open(handshake, RecordingTransport(gateway=self))


async def test_a_session_that_is_being_claimed_when_its_process_stops_is_claimed_elsewhere(
    redis_process: RedisProcess,
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    settings = Settings(
        jwt_secret="a secret for tests that is long enough",
        redis_url=redis_process.url,
        redis_prefix=prefix,
        publish_timeout=10.0,
        drain_timeout=0.1,
    )
    presence = DistantPresence(MemoryPresence(grace=0.0))
    backends = dataclasses.replace(backends_from(settings, Meter(), Revocations(ttl=60.0)), presence=presence)
    site, other = Site(), Site()
    async with (
        redis.asyncio.from_url(redis_process.url) as database,
        Realtime(gateways=[other], settings=settings),
    ):
        async with Realtime(gateways=[site], settings=settings, backends=backends) as stopping:
            left = internal(await site.come())
            pid = site.recovery_id(left)
            presence.requests.pause()
            site.disconnected(left, "transport close")  # it stays present, so a client that returns has to wait

            async def owner() -> object:
                (key,) = [key async for key in database.scan_iter(f"{prefix}:*:r:*")]
                return await database.hget(key, "owner")

            first = await owner()
            returning = asyncio.create_task(site.come(pid=pid))

            async def claimed() -> bool:
                return await owner() != first

            await until(claimed)
            for _ in range(3):  # what the claim asks Redis after that is answered too
                await stopping.broker.position(GatewayName("/"))
        with pytest.raises(Refusal):
            await returning
        assert (await other.come(pid=pid)).recovered
