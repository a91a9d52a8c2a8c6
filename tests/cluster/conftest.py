"""Clusters of real server processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.redis_places import LONG_PLACES, RedisPlace, RedisPlaces


@pytest.fixture(params=LONG_PLACES)
def redis_place(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> RedisPlace:
    """The Redis of the cluster: one server, and in the long form every place in turn."""
    return redis_places(request.param)


@pytest.fixture
async def cluster(tmp_path: Path, redis_place: RedisPlace) -> AsyncIterator[Cluster]:
    """A cluster that has no node yet. `node = await cluster.start()` starts one."""
    async with Cluster(tmp_path, redis_place.url) as running:
        yield running
