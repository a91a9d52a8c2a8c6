"""A process reports to Redis how far it is, for as long as it serves."""

from __future__ import annotations

import secrets

import pytest

from asgi_realtime import Handshake, Identity, Realtime, Settings, SocketIOGateway
from asgi_realtime.redis.keys import Keys
from asgi_realtime.values.ids import GatewayName
from tests.support.recording import RecordingTransport
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until


async def by_auth(handshake: Handshake) -> Identity:
    return Identity(user_id="ann")


class FailingTransport(RecordingTransport):
    """Cannot say when its client has answered, if a test says so."""

    failing = False

    @property
    def answered_at(self) -> float | None:
        """When the client answered."""
        if self.failing:
            raise LookupError("it is not known")
        return None

    @answered_at.setter
    def answered_at(self, at: float | None) -> None:
        """Not kept."""


async def test_reports_go_on_after_one_has_failed(
    redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        jwt_secret="a secret for tests that is long enough",
        redis_url=redis_process.url,
        redis_prefix=f"test-{secrets.token_hex(4)}",
        recovery_window=0.6,  # a report each 0.1 s
        ping_interval=0.02,
        ping_timeout=0.02,
    )
    keys = Keys(settings.redis_prefix, GatewayName("/"))
    site = SocketIOGateway("/", authenticator=by_auth)
    async with Realtime(gateways=[site], settings=settings):
        transport = FailingTransport(gateway=site)
        await site.open(Handshake(gateway="/", auth={"recovery": True}), transport)
        with redis_process.client() as redis:
            await until(lambda: redis.keys(keys.progress("*")))
            [report] = redis.keys(keys.progress("*"))
            transport.failing = True
            await until(lambda: "LookupError" in caplog.text)
            transport.failing = False
            redis.delete(report)
            await until(lambda: redis.exists(report))
    assert [record.getMessage() for record in caplog.records] == [
        "/: reporting the progress of recovery failed: LookupError('it is not known')"
    ]
