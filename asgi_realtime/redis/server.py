"""Where Redis is, and how to connect a link to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.endpoint import close
from asgi_realtime.redis.hello_reply import check_hello_reply
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.ready_client import RedisClient, read_client
from asgi_realtime.redis.url import read_url


class RedisServer:
    """One Redis, or one Redis Cluster, named by a URL or by a client of redis-py whose options are taken.

    redis-py opens and authenticates each connection. Then a `Link` takes the connection over.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,host:port/service`, `redis+cluster://`,
            with user, password, database and options as redis-py reads them.
        client: a client of `redis.asyncio`. It is not used itself and not closed.
        named: the variable or the argument that it comes from. Every error about it begins with this.
        timeout: seconds that connecting may take, and then each answer of the handshake.
        keyless: whether only channels are used, and no keys. Then one server of a Redis Cluster is enough.

    Raises:
        ConfigurationError: for a URL or a client that cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: RedisClient | None = None,
        named: str = "MEW_REDIS_URL",
        timeout: float = 2.0,
        keyless: bool = False,
    ) -> None:
        self.named = named
        self._keyless = keyless
        try:
            if client is None:
                self._discovery = read_url(url or "", timeout=timeout)
            else:
                self._discovery = read_client(client, timeout=timeout)
        except ConfigurationError as error:
            raise ConfigurationError(f"{named}: {error}") from None

    def __repr__(self) -> str:
        return f"RedisServer({self._discovery!r})"

    @property
    def sharded(self) -> bool:
        """Whether it is a Redis Cluster: the keys and channels of a gateway are on the server that has their slot."""
        return self._discovery.sharded

    @property
    def publish_command(self) -> str:
        """The command that publishes: in a Redis Cluster, channels belong to slots too."""
        return "SPUBLISH" if self.sharded else "PUBLISH"

    async def connect(
        self, key: str, *, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[Link], None]
    ) -> Link:
        """Open a link to the server that has this key.

        Raises:
            LinkLost: Redis cannot be reached, or cannot be used at the moment.
            ConfigurationError: Redis refuses the login, or is of a kind that cannot be used.
        """
        try:
            return await self._connect(key, on_message, on_lost)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.named}: {error}") from error.__cause__

    async def _connect(
        self, key: str, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[Link], None]
    ) -> Link:
        endpoint = await self._discovery.find(key)
        connection: Any = await endpoint.open()
        try:
            hello = await endpoint.ask(connection, "HELLO", 3)
            check_hello_reply(hello, address=str(endpoint), sharded=self.sharded, keyless=self._keyless)
            writer = connection._writer  # the one thing that redis-py has no public name for
            assert writer is not None
        except BaseException:
            await close(connection)
            raise
        link = Link(on_message=on_message, on_lost=on_lost, sharded=self.sharded)
        writer.transport.set_protocol(link)
        link.connection_made(writer.transport)
        link.connection = connection
        return link
