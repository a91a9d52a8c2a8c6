"""Redis with Sentinel: the Sentinels return the current master."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import ResponseError

from asgi_realtime.redis.discovery import ask_in_turn
from asgi_realtime.redis.endpoint import Endpoint
from asgi_realtime.redis.link import LinkLost


class SentinelService:
    """Finds the master of a service.

    Args:
        sentinels: the Sentinels.
        service: the name of the service at the Sentinels.
        server: how to connect to the master. Its address is replaced.
    """

    sharded = False

    def __init__(self, sentinels: Sequence[Endpoint], service: str, server: Endpoint) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._server = server

    def __repr__(self) -> str:
        return f"{self._service!r} of the Sentinels at {', '.join(map(str, self._sentinels))}"

    async def find(self, key: str) -> Endpoint:
        """The master; see `Discovery.find`."""
        # Each attempt begins with another Sentinel, in case one has not seen a failover yet.
        self._sentinels.append(self._sentinels.pop(0))
        try:
            _, reply = await ask_in_turn(
                self._sentinels, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service, usable=lambda reply: bool(reply)
            )
        except (LinkLost, ResponseError) as error:
            raise LinkLost(f"no Sentinel names a master of {self._service!r}: {error}") from error
        host, port = reply
        return self._server.at(host.decode(), int(port))
