"""How the broker on Redis stops."""

from __future__ import annotations

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_server import RedisProcess


async def test_a_stop_during_a_comparison_with_redis_logs_no_error(
    redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        # It compares every millisecond.
        broker = RedisBroker(RedisServer(redis_process.url), prefix="test-stop", history_ttl=0.004)
        await broker.start(RecordingReceiver())
        await broker.stop()
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []
