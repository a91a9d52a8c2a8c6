"""Takes the options of a client of redis-py that the host has made."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import RedisError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.cluster_nodes import ClusterNodes
from asgi_realtime.redis.discovery import Discovery, FixedServer
from asgi_realtime.redis.endpoint import Endpoint
from asgi_realtime.redis.sentinel import SentinelService

RedisClient: TypeAlias = Redis | RedisCluster
"""A client of `redis.asyncio`: made directly, by `Sentinel.master_for`, or for a cluster."""

KINDS: Final = {
    Connection: Connection,
    SSLConnection: SSLConnection,
    UnixDomainSocketConnection: UnixDomainSocketConnection,
    # These ask the Sentinels themselves. Here `SentinelService` does.
    SentinelManagedConnection: Connection,
    SentinelManagedSSLConnection: SSLConnection,
}
"""The classes of connections that can be used, and what they are replaced by. A subclass may connect in another way."""
OURS: Final = frozenset(
    {
        # Timeouts and retries: `MEW_PUBLISH_TIMEOUT` and the package's own back-off decide.
        *("socket_timeout", "socket_connect_timeout", "retry", "retry_on_timeout", "retry_on_error"),
        *("health_check_interval", "socket_keepalive", "socket_read_size"),
        # The form of replies: the package reads RESP3 with its own parser.
        *("protocol", "legacy_responses", "decode_responses", "parser_class", "encoder_class"),
        # What connects a connection to the pool or the cluster that it is in.
        *("connection_pool", "connection_class", "event_dispatcher", "himport_registry"),
        *("maint_notifications_config", "maint_notifications_pool_handler", "oss_cluster_maint_notifications_handler"),
        *("maintenance_state", "maintenance_notification_hash"),
        *("orig_host_address", "orig_socket_timeout", "orig_socket_connect_timeout"),
    }
)
"""Options of a client that have no effect here. docs/operations/redis.md says so. All others are used."""


def read_client(client: RedisClient, *, timeout: float) -> Discovery:
    """How to find the server that a client is for. The client is not used itself and not closed.

    Raises:
        ConfigurationError: it is no client of `redis.asyncio`, or its options cannot be used.
    """
    if isinstance(client, RedisCluster):
        return _cluster(client, timeout)
    if not isinstance(client, Redis):
        raise _not_a_client(client)
    pool = client.connection_pool
    server = _endpoint(pool.connection_class, pool.connection_kwargs, timeout)
    if not isinstance(pool, SentinelConnectionPool):
        return FixedServer(server)
    if not pool.is_master:
        raise ConfigurationError("this client is for replicas, which accept no writes; pass Sentinel.master_for(...)")
    for option in ("min_other_sentinels", "_force_master_ip"):
        if getattr(pool.sentinel_manager, option, None):
            raise ConfigurationError(f"the Sentinel's option {option.strip('_')} cannot be used; leave it out")
    sentinels = [
        _endpoint(each.connection_pool.connection_class, each.connection_pool.connection_kwargs, timeout)
        for each in pool.sentinel_manager.sentinels
    ]
    return SentinelService(sentinels, pool.service_name, server)


def _cluster(client: RedisCluster, timeout: float) -> ClusterNodes:
    nodes = client.nodes_manager
    seeds = []
    for node in nodes.startup_nodes.values():
        options = dict(node.connection_kwargs)
        options.pop("redis_connect_func", None)  # the cluster's own, which allows reads from replicas
        seeds.append(_endpoint(node.connection_class, options, timeout).at(node.host, int(node.port)))
    return ClusterNodes(seeds, remap=nodes.address_remap)


def _endpoint(kind: type[AbstractConnection], options: Any, timeout: float) -> Endpoint:
    if kind not in KINDS:
        raise ConfigurationError(
            f"the connections of this client are made by {kind.__module__}.{kind.__qualname__}, not by a class of "
            "redis.asyncio; pass a client that connects to a server, such as Redis(host=...), or none for one process"
        )
    try:
        return Endpoint(KINDS[kind], {name: options[name] for name in options.keys() - OURS}, timeout=timeout)
    except (TypeError, ValueError, RedisError) as error:
        raise ConfigurationError(f"an option of this client cannot be used: {error}") from None


def _not_a_client(value: object) -> ConfigurationError:
    """The error about anything else. It does not repeat the value, which may contain a password."""
    kind = type(value)
    wanted = "it takes a client of redis.asyncio"
    if isinstance(value, str | bytes):
        return ConfigurationError(f"{wanted}, not text; a URL belongs into MEW_REDIS_URL or Settings(redis_url=...)")
    if isinstance(value, type):
        return ConfigurationError(f"{wanted}, not the class {value.__name__}; pass an instance: {value.__name__}(...)")
    if hasattr(kind, "master_for"):
        return ConfigurationError(f"{wanted}, not a Sentinel; pass what its method master_for(SERVICE) returns")
    if hasattr(kind, "make_connection"):
        return ConfigurationError(f"{wanted}, not a pool; pass redis.asyncio.Redis(connection_pool=...)")
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] == "redis":
        return ConfigurationError(
            f"{wanted}, not {name}; make a redis.asyncio.Redis or redis.asyncio.RedisCluster with the same arguments"
        )
    return ConfigurationError(f"{wanted}, not {name}; write redis.asyncio.Redis(host=...)")
