"""Where Redis is, and how to connect to it: a URL, or a client of redis-py."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.link import Link, LinkLost


class RedisServer:
    """One Redis, named by a URL or by a client of redis-py whose connection options are taken.

    redis-py opens and authenticates each connection: TCP, TLS and Unix sockets, passwords and credential providers.
    Then a `Link` takes the connection over. Every timeout and retry is given explicitly, because redis-py's defaults
    differ between its versions.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as redis-py reads them.
        client: a client of `redis.asyncio`. It is not used itself and not closed.
        timeout: seconds that connecting may take, and then each answer of the handshake.

    Raises:
        ConfigurationError: for a URL that cannot be used.
    """

    def __init__(self, url: str | None = None, *, client: Redis | None = None, timeout: float = 2.0) -> None:
        if client is not None:
            pool = client.connection_pool
            options, kind = dict(pool.connection_kwargs), pool.connection_class
        else:
            try:
                options = dict(parse_url(url or ""))
            except (ValueError, RedisError) as error:
                raise ConfigurationError(f"MEW_REDIS_URL: {error}") from None
            kind = options.pop("connection_class", Connection)
        self._kind: type[AbstractConnection] = kind
        self._options = {**options, **_explicit(kind, timeout)}
        self._timeout = timeout

    async def connect(self, *, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[Link], None]) -> Link:
        """Open a link.

        Raises:
            LinkLost: Redis cannot be reached, or refuses the connection.
        """
        connection: Any = self._kind(**self._options)
        link = Link(on_message=on_message, on_lost=on_lost)
        try:
            async with asyncio.timeout(2 * self._timeout):
                await connection.connect()
            writer = connection._writer  # the one thing that redis-py has no public name for
            assert writer is not None
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if not isinstance(error, OSError | RedisError | TimeoutError):
                raise
            raise LinkLost(f"cannot connect to Redis: {error}") from error
        writer.transport.set_protocol(link)
        link.connection_made(writer.transport)
        link.connection = connection
        return link


def _explicit(kind: type[AbstractConnection], timeout: float) -> Mapping[str, Any]:
    """The options that must not be redis-py's defaults."""
    options: dict[str, Any] = {
        "protocol": 3,
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
    }
    known = {name for each in kind.__mro__ for name in inspect.signature(vars(each).get("__init__", object)).parameters}
    if "maint_notifications_config" in known:
        from redis.maint_notifications import MaintNotificationsConfig

        options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    if not any(each.__name__ == "UnixDomainSocketConnection" for each in kind.__mro__):
        options["socket_keepalive"] = True
    return options
