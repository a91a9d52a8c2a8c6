"""Takes the options of a client of redis-py that the host has made."""

from __future__ import annotations

from typing import Any, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.cluster_nodes import ClusterNodes
from asgi_realtime.redis.discovery import Discovery, FixedServer
from asgi_realtime.redis.endpoint import Endpoint, is_tls, known_options
from asgi_realtime.redis.sentinel import SentinelService

RedisClient: TypeAlias = Redis | RedisCluster
"""A client of `redis.asyncio`: made directly, by `Sentinel.master_for`, or for a cluster."""


def read_client(client: RedisClient, *, timeout: float) -> Discovery:
    """How to find the server that a client is for. The client is not used itself and not closed.

    Raises:
        ConfigurationError: it is no client of `redis.asyncio`, or its options cannot be used.
    """
    if isinstance(client, RedisCluster):
        return ClusterNodes(
            [
                _endpoint(None, node.connection_kwargs, timeout).at(node.host, int(node.port))
                for node in client.nodes_manager.startup_nodes.values()
            ]
        )
    if not isinstance(client, Redis):
        raise ConfigurationError(f"a client of redis.asyncio is needed, not {type(client).__qualname__}")
    pool = client.connection_pool
    server = _endpoint(pool.connection_class, pool.connection_kwargs, timeout)
    if isinstance(pool, SentinelConnectionPool):
        sentinels = [
            _endpoint(each.connection_pool.connection_class, each.connection_pool.connection_kwargs, timeout)
            for each in pool.sentinel_manager.sentinels
        ]
        return SentinelService(sentinels, pool.service_name, server)
    return FixedServer(server)


def _endpoint(kind: type[AbstractConnection] | None, options: Any, timeout: float) -> Endpoint:
    given = dict(options)
    given.pop("connection_pool", None)
    if kind is None:
        kind = given.pop("connection_class", Connection)
    if "connection_pool" in options:  # Sentinel's own class of connections asks the Sentinels itself
        kind = SSLConnection if is_tls(kind) else Connection
    return Endpoint(kind, {name: given[name] for name in given.keys() & known_options(kind)}, timeout=timeout)
