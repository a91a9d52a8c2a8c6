"""Fixtures of tests that drive stock clients."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest

from asgi_realtime.values.json import Json
from tests.support.node_client import Node
from tests.support.stock_client import CLIENT_KINDS, ClientKind, Connect, StockClient, connect_stock


@pytest.fixture(params=CLIENT_KINDS)
def client_kind(request: pytest.FixtureRequest) -> ClientKind:
    """The test runs once with each stock client over each transport."""
    kind: ClientKind = request.param
    return kind


@pytest.fixture
async def connect(client_kind: ClientKind, node: Node) -> AsyncIterator[Connect]:
    """Connect clients of the kind under test; all are disconnected when the test ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def open(
            url: str, namespace: str = "/", *, auth: Json = None, headers: Mapping[str, str] | None = None
        ) -> StockClient:
            client = await connect_stock(client_kind, node, url, namespace, auth, headers)
            stack.push_async_callback(client.disconnect)
            return client

        yield open
