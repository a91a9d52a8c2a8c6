"""Checks a server's reply to HELLO: whether this package can use the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.link import LinkLost

OLDEST: Final = (6, 2)
OLDEST_CLUSTER: Final = (7, 0)
"""The first version with sharded channels."""


def check_hello_reply(reply: Mapping[bytes, object], *, address: str, sharded: bool, keyless: bool = False) -> None:
    """Check that a server can be used.

    Args:
        reply: the reply to HELLO.
        address: where the server is, for errors.
        sharded: whether it must be part of a Redis Cluster.
        keyless: whether only channels are used. They reach every server of a Redis Cluster, so any of them will do.

    Raises:
        ConfigurationError: it is too old, or of another kind than the URL says.
        LinkLost: it is a replica. It may become a master later.
    """
    mode, role, version = (_text(reply.get(name)) for name in (b"mode", b"role", b"version"))
    if mode == "sentinel":
        raise ConfigurationError(
            f"{address} is a Sentinel; write redis+sentinel://{address}/SERVICE, with the service's name, or pass the"
            " client that Sentinel(...).master_for(SERVICE) returns"
        )
    if mode == "cluster" and not sharded and not keyless:
        raise ConfigurationError(
            f"{address} is part of a Redis Cluster; write redis+cluster:// instead of redis://, or pass a RedisCluster"
        )
    oldest = OLDEST_CLUSTER if sharded else OLDEST
    if version_of(version) < oldest:
        what = "a Redis Cluster must have" if sharded else "use"
        raise ConfigurationError(
            f"{address} has version {version}; {what} Redis {oldest[0]}.{oldest[1]} or newer, or Valkey"
        )
    if role not in ("master", "primary"):
        raise LinkLost(f"{address} is a replica, and publications need the master")


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version. What has no numbers counts as the newest."""
    found = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else OLDEST_CLUSTER


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
