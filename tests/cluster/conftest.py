"""Clusters of real server processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.redis_server import RedisProcess


@pytest.fixture
async def cluster(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[Cluster]:
    """A cluster that has no node yet. `node = await cluster.start()` starts one."""
    async with Cluster(tmp_path, redis_process.url) as running:
        yield running
