"""The Redis of a client manager of python-socketio: its URL, as python-socketio reads it, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.ready_client import RedisClient
from asgi_realtime.redis.server import RedisServer

NAMED: Final = "SocketIOServer(client_manager=...)"
"""What errors about Redis begin with."""
SENTINEL_PORT: Final = 26379


def server_of(manager: Any) -> RedisServer:
    """The Redis of a `RedisManager` or `AsyncRedisManager`.

    The schemes of Valkey are read as those of Redis. One server of a Redis Cluster is enough, because the manager uses
    a channel and no keys.

    Raises:
        ConfigurationError: for a URL or options that cannot be used. It says why, without user or password.
    """
    scheme, _, rest = str(manager.redis_url).partition("://")
    scheme = scheme.lower().replace("valkeys", "rediss").replace("valkey", "redis")
    transport, _, topology = scheme.partition("+")
    if topology == "cluster":
        raise _wrong(f"python-socketio has no {scheme}://; name one server of the cluster: {transport}://host:port")
    service = ""
    if topology == "sentinel":
        if transport == "rediss":
            raise _wrong(
                "python-socketio has no rediss+sentinel://; write redis+sentinel:// and redis_options={'ssl': True}"
            )
        rest, service = _sentinel_path(rest, manager.channel)
    server = RedisServer(f"{scheme}://{rest}", named=NAMED, keyless=True)
    options: Mapping[str, Any] = manager.redis_options
    if not options:
        return server
    try:
        if service:
            client = _by_sentinel(rest, service, options)
        else:
            client = Redis.from_url(f"{scheme}://{rest}", **options)
        return RedisServer(client=client, named=NAMED, keyless=True)
    except (TypeError, ValueError, RedisError) as error:
        raise _wrong(f"an option in redis_options cannot be used: {error}") from None


def _sentinel_path(rest: str, channel: str) -> tuple[str, str]:
    """What follows the scheme in the form of this package, with database and service exchanged; and the service."""
    authority, _, path = rest.partition("/")
    database, _, service = path.partition("?")[0].partition("/")
    if database and not (database.isascii() and database.isdecimal()):
        raise _wrong("python-socketio's form is redis+sentinel://host:port,host:port/DATABASE/SERVICE")
    service = service.partition("/")[0] or channel
    return f"{authority}/{quote(service, safe='')}/{database}", service


def _by_sentinel(rest: str, service: str, options: Mapping[str, Any]) -> RedisClient:
    """The client that python-socketio makes. User and password are those at the master."""
    authority, _, path = rest.partition("/")
    login, _, addresses = authority.rpartition("@")
    user, _, password = login.partition(":")
    hosts: list[tuple[str, int]] = []
    for address in addresses.split(","):
        host, _, port = address.rpartition(":") if address.rpartition("]")[2] else (address, "", "")
        hosts.append(((host or address).strip("[]"), int(port) if host and port else SENTINEL_PORT))
    own = {"username": user, "password": password, "db": int(path.rpartition("/")[2] or 0)}
    merged = {**options, **{name: value for name, value in own.items() if value}}
    sentinel = Sentinel(hosts, **merged)  # type: ignore[no-untyped-call]  # redis-py does not declare its types
    client: RedisClient = sentinel.master_for(service)
    return client


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"{NAMED}: {what}")
