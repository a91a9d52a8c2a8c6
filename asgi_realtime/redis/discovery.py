"""Finds the server that a link must be connected to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis.exceptions import ResponseError

from asgi_realtime.redis.endpoint import Endpoint, close
from asgi_realtime.redis.link import Argument, LinkLost


class Discovery(Protocol):
    """Finds the server that holds a key."""

    @property
    def sharded(self) -> bool:
        """Whether keys are on several servers, by their hash tags: a Redis Cluster."""

    async def find(self, key: str) -> Endpoint:
        """The server that has a key now.

        Raises:
            LinkLost: it cannot be found at the moment.
            ConfigurationError: it cannot be found with this configuration.
        """


class FixedServer:
    """A server that is always at the same address."""

    sharded = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return str(self._endpoint)

    async def find(self, key: str) -> Endpoint:
        """See `Discovery.find`."""
        return self._endpoint


async def ask_in_turn(
    endpoints: Sequence[Endpoint], *command: Argument, usable: Callable[[Any], bool]
) -> tuple[Endpoint, Any]:
    """Ask one server after the other, until one gives a usable reply. Returns it, and which server gave it.

    Raises:
        LinkLost: none gave one. The text is that of the last error.
        redis.ResponseError: the last one refused the command.
        ConfigurationError: the last one refused the login.
    """
    problem: Exception = LinkLost("no server is known")
    for endpoint in endpoints:
        try:
            connection = await endpoint.open()
            try:
                reply = await endpoint.ask(connection, *command)
            finally:
                await close(connection)
        except (LinkLost, ResponseError) as error:
            problem = error
            continue
        if usable(reply):
            return endpoint, reply
        problem = LinkLost(f"{endpoint} has no answer")
    raise problem
