"""Clusters of real server processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.json_systems import JSONNodes, json_nodes
from tests.support.redis_places import LONG_PLACES, RedisPlace, RedisPlaces
from tests.support.redis_server import RedisProcess


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop for the tests of a file, which may share nodes."""
    return "asyncio", {"debug": True}


@pytest.fixture(scope="module")
async def shared_nodes(
    tmp_path_factory: pytest.TempPathFactory, redis_process: RedisProcess, anyio_backend: object
) -> AsyncIterator[JSONNodes]:
    """Three nodes with Chat and Jobs, which the tests of a file share."""
    async with json_nodes(tmp_path_factory.mktemp("nodes"), redis_process.url) as running:
        yield running


@pytest.fixture(params=LONG_PLACES)
def redis_place(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> RedisPlace:
    """The Redis of the cluster: one server, and in the long form every place in turn."""
    return redis_places(request.param)


@pytest.fixture
async def cluster(tmp_path: Path, redis_place: RedisPlace) -> AsyncIterator[Cluster]:
    """A cluster that has no node yet. `node = await cluster.start()` starts one."""
    async with Cluster(tmp_path, redis_place.url) as running:
        yield running
